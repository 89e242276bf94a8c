import { fetchAttributes } from './attributes.js';
import { morphChildren, syncAttributes } from './morph.js';
import { OutputView } from './output.js';
import { OutputSearch } from './search.js';

/** After an answer that a browser doesn't repeat by itself, in ms. */
const AGAIN_MS = 5_000;
/** As the streams tell browsers to wait, in ms. */
const RETRY_MS = 1_000;
/** A shorter break isn't worth a word, in ms. */
const BREAK_MS = 2_000;
/** A tab that nobody looks at keeps its connection for so long, in ms: over HTTP/1.1 a browser has six for a host. */
const LEAVE_MS = 5_000;
/** How often such a tab looks what its title should be, in ms. */
const GLANCE_MS = 60_000;

const sections = [...document.querySelectorAll<HTMLElement>('.Output[data-run]')];
const outputs = new Map<string, OutputView>();
for (const section of sections) {
  const output = new OutputView(section);
  outputs.set(output.stage, output);
  new OutputSearch(section, output);
  section.querySelector('.Output-more')?.remove();
}
const run = sections[0]?.dataset.run;
/** What the page has of the output: the apply's comes after all of the plan's. */
let position = sections.map(({ dataset }) => dataset.position).findLast((known) => known !== undefined);
let source: EventSource | undefined;
let ended = false;
let timer: ReturnType<typeof setTimeout> | undefined;
/** Nobody looks at the tab, which has given its connection back. */
let left = false;
let leaving: ReturnType<typeof setTimeout> | undefined;

const csrf = document.querySelector<HTMLInputElement>('input[name=csrf]')?.value ?? '';
const notice = document.createElement('p');
notice.className = 'Live-notice';
notice.hidden = true;
document.querySelector('main')?.prepend(notice);

if (run !== undefined) {
  fetchAttributes();
  followLinks();
  connect();
  document.addEventListener('visibilitychange', followAttention);
  followAttention();
  // A page that is kept for the back button has no connection.
  addEventListener('pagehide', () => source?.close());
  addEventListener('pageshow', (event) => {
    if (event.persisted && !ended) connect();
  });
}

function connect(): void {
  stopWaiting();
  source?.close();
  const query = new URLSearchParams(position === undefined ? {} : { from: position });
  // A plan doesn't change, and may be long.
  const hasPlan = isPlanThere();
  if (hasPlan) query.set('has', 'plan');
  source = new EventSource(`/runs/${run}/events?${query}`);
  source.onopen = () => {
    stopWaiting();
    say(undefined);
  };
  source.onerror = () => {
    if (source?.readyState === EventSource.CLOSED) {
      stopWaiting();
      void refused();
    } else if (isPlanThere() && !hasPlan) {
      // The browser would ask again for what the page has by now.
      source?.close();
      stopWaiting();
      timer = setTimeout(connect, RETRY_MS);
    } else {
      // Each attempt of the browser's that fails is another error of the same break.
      timer ??= setTimeout(() => say('Reconnecting…'), BREAK_MS);
    }
  };
  source.addEventListener('output', (event) => {
    const { stage, attempt, text } = JSON.parse(event.data) as { stage: string; attempt: number; text: string };
    outputs.get(stage)?.append(text, attempt);
    position = event.lastEventId;
  });
  source.addEventListener('run', (event) => {
    const { regions } = JSON.parse(event.data) as { regions: Record<string, string> };
    for (const [id, html] of Object.entries(regions)) swap(id, html);
    const { title, state } = document.getElementById('status')?.dataset ?? {};
    document.title = title ?? document.title;
    outputs.get('plan')?.runs(state === 'planning');
    outputs.get('apply')?.runs(state === 'applying');
    // It was a glance, and the title is right now.
    if (left) leave();
  });
  source.addEventListener('end', () => {
    ended = true;
    stopWaiting();
    source?.close();
    say(undefined);
  });
}

function followAttention(): void {
  clearTimeout(leaving);
  if (document.hidden) {
    leaving = setTimeout(leave, LEAVE_MS);
  } else if (left) {
    left = false;
    if (!ended) connect();
  }
}

/** What comes meanwhile is asked for later, from the position that the page has. A glance ends here, too. */
function leave(): void {
  if (ended) return;
  left = true;
  stopWaiting();
  source?.close();
  clearTimeout(leaving);
  leaving = setTimeout(connect, GLANCE_MS);
}

function isPlanThere(): boolean {
  return document.querySelector('#plan details') !== null;
}

function stopWaiting(): void {
  clearTimeout(timer);
  timer = undefined;
}

/** The answer wasn't a stream, and doesn't say to scripts what it was: the page's own does. */
async function refused(): Promise<void> {
  const answer = await fetch(location.pathname, { method: 'HEAD', redirect: 'manual', cache: 'no-store' }).catch(
    () => undefined,
  );
  if (answer?.status === 404) {
    ended = true;
    say('You can no longer see this run: what is shown here is as it was.');
  } else if (answer && (answer.type === 'opaqueredirect' || answer.status === 401)) {
    ended = true;
    say('You are signed out: reload this page to sign in again.');
  } else {
    say('Reconnecting…');
    timer = setTimeout(connect, AGAIN_MS);
  }
}

function say(text: string | undefined): void {
  notice.hidden = text === undefined;
  if (notice.textContent !== (text ?? '')) notice.textContent = text ?? '';
}

/** `html`: the element with this id, or its content. */
function swap(id: string, html: string): void {
  const element = document.getElementById(id);
  if (!element) return;
  const template = document.createElement('template');
  template.innerHTML = html;
  if (id === 'plan' && isSamePlan(element, template.content.firstElementChild)) return;
  // The question that was answered with a press stays until it is moot.
  if (element.querySelector('.question') && template.content.querySelector('input[name=ask]')) return;
  // One text for all who watch: what is this session's own is here already.
  for (const input of template.content.querySelectorAll<HTMLInputElement>('input[name=csrf]')) {
    input.setAttribute('value', csrf);
  }
  const [only] = template.content.children;
  if (only?.id === id) {
    syncAttributes(element, only);
    morphChildren(element, only);
  } else {
    morphChildren(element, template.content);
  }
}

/** Then what is here stays, with the attributes that were fetched since; one that was made again takes its place. */
function isSamePlan(here: HTMLElement, sent: Element | null): boolean {
  const there = here.querySelector('details') && sent?.querySelector('details');
  return Boolean(there) && here.dataset.attempt === sent?.getAttribute('data-attempt');
}

function followLinks(): void {
  const follow = () => {
    const [, stage = '', line] = /^#(plan|apply)-L([1-9]\d*)$/.exec(location.hash) ?? [];
    if (line !== undefined) outputs.get(stage)?.show(Number(line));
  };
  addEventListener('hashchange', follow);
  follow();
}
