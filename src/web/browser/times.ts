import { elapsed, relativeTime } from './relative-time.js';

/** Keeps 'three minutes ago' true on a page that stays open, and how long something has been going on; shows what is due. */
function refresh(): void {
  const now = new Date();
  for (const element of document.querySelectorAll('time[datetime]')) {
    say(element, relativeTime(new Date(element.getAttribute('datetime') ?? ''), now));
  }
  for (const element of document.querySelectorAll('[data-since]')) {
    say(element, elapsed(now.getTime() - Date.parse(element.getAttribute('data-since') ?? '')));
  }
  for (const element of document.querySelectorAll<HTMLElement>('[data-from][hidden]')) {
    element.hidden = now.getTime() < Date.parse(element.dataset.from ?? '');
  }
}

/** Only where it differs: a reader may have the text selected. */
function say(element: Element, words: string): void {
  if (element.textContent !== words) element.textContent = words;
}

setInterval(() => {
  if (!document.hidden) refresh();
}, 1_000);
document.addEventListener('visibilitychange', refresh);
