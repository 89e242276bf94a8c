import { readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Browser, Page } from 'playwright-core';
import { browserAvailable, startBrowser } from '../support/browser.js';
import type { PullHandle, Repository } from '../support/github/index.js';
import { HttpVisitor } from './http-visitor.js';
import { Visitor } from './visitor.js';
import { command, hcl, onPostgres, resource, SETTINGS, World } from './world.js';

const suite = browserAvailable ? describe : describe.skip;

const TAGS = [
  '<script>alert(1);window.broken=1</script>',
  '"><img src=x onerror="alert(1);window.broken=1">',
  "'><svg/onload=alert(1)>",
  '</title></textarea></script></style><h1>broken</h1>',
  '--><iframe src="javascript:alert(1)"></iframe>',
  '" data-since="x" data-from="x" hidden autofocus onfocus="alert(1)" x="',
  'javascript:alert(1) [x](javascript:alert(1)) http://evil.invalid/',
  `&lt;script&gt; &#60;b&#62; {{constructor.constructor("alert(1)")()}} \${alert(1)}`,
].join(' ');
const BIDI = '\u202Eevil\u202D \u2066x \u2067y \u061C\u200F';
const ODD = `a\u2028b\u2029c\u0085d \uFEFF\u200B Z${'\u0301\u0322\u0335'.repeat(60)}algo 🏳️‍🌈`;
const LONG = 'W'.repeat(10_000);
const HOSTILE = `${TAGS} ${BIDI} ${ODD} ${LONG}`;
const LINE = `${TAGS} ${BIDI} ${ODD}`;
/** What git takes as a branch's name. */
const BRANCH = `x"><img/src=x/onerror=alert(1)>{{7-7}}\u202E/${'w'.repeat(150)}`;
const LOGIN = 'x"><img/src=x/onerror=alert(1)>';

/** A terminal would act on each of these. */
const ESCAPES = [
  '\\033[31mred\\033[0m \\033[999;999H moved \\033[2J cleared \\033[?1049h other \\033[38;2;1;2;3;4;5;6m',
  '\\033]8;;javascript:alert(1)\\033\\\\link\\033]8;;\\033\\\\ \\033]52;c;ZXZpbA==\\007 \\033]0;title\\007',
  '\\302\\233 31m C1 \\302\\235 8;;x\\302\\234 \\033P dcs \\033\\\\ \\033_ apc \\033\\\\ \\033[ unfinished',
  'first\\rsecond \\b\\b\\b back \\007 \\013 \\014 \\016 \\017 \\001 \\177',
].join('\\n');

function printing(text: string): string {
  const quoted = `'${text.replaceAll("'", "'\\''")}'`;
  return `printf '%s\\n' ${quoted}; printf '${ESCAPES}\\n'; head -c 10000 /dev/zero | tr '\\0' L; echo`;
}

const settings = `workspaces:
  - { name: hostile, directory: hostile }
  - { name: broken, directory: broken }
  - { name: lossy, directory: lossy }
  - { name: slow, directory: slow, auto-apply: true }
  - { name: failing, directory: failing, auto-apply: true }
  - { name: empty, directory: empty }
`;

const hostileFile = `
locals { names = [${[TAGS, BIDI, ODD, LONG, 'a.b["c"]', ''].map(hcl).join(', ')}] }
resource "terraform_data" "each" {
  for_each = { for index, name in local.names : name => index }
  input    = { name = each.key, list = [each.key], (each.key) = each.value }
}
output "all" { value = ${hcl(HOSTILE)} }
output "map" { value = { ${hcl(TAGS)} = ${hcl(LINE)} } }
${command('prints', printing(LINE))}`;

const brokenFile = `
locals { text = ${hcl(`${TAGS}${LONG}`)} }
resource "terraform_data" "a" {
  input = ${hcl(LINE)}
  lifecycle {
    precondition {
      condition     = local.text == "" && ${hcl(LINE)} == local.text
      error_message = ${hcl(`${LINE}\n\n${LONG}.`)}
    }
  }
}
`;

suite('Text of other people on the pages', () => {
  let world: World;
  let browser: Browser;
  let visitor: Visitor;
  let alice: HttpVisitor;
  let repo: Repository;
  let pr: PullHandle;
  let go: string;
  const elsewhere: string[] = [];
  const dialogs: string[] = [];

  const place = (name: string) => `/${repo.fullName}/workspaces/${name}`;
  const runsOf = (name: string) =>
    world.query<{ id: string; state: string }>(
      'select r.id, r.state from runs r join workspaces w on w.id = workspace_id where w.name = $1 order by r.sequence desc',
      [name],
    );
  const waitFor = async (name: string, state: string): Promise<string> =>
    world.until(repo, `${name} ${state}`, async () => (await runsOf(name)).find((run) => run.state === state)?.id);
  const newestVersion = async (name: string): Promise<string> => {
    const [row] = await world.query<{ id: string }>(
      'select max(v.id) as id from state_versions v join workspaces w on w.id = workspace_id where w.name = $1',
      [name],
    );
    return `${place(name)}/state-versions/${row?.id}`;
  };

  beforeAll(async () => {
    world = await World.start(onPostgres);
    await world.github.createUser(LOGIN);
    repo = await world.repository();
    await repo.setPermission(LOGIN, 'write');
    go = join(world.directory, 'go');
    const files = {
      [SETTINGS]: settings,
      'hostile/main.tf': hostileFile,
      'broken/main.tf': brokenFile,
      'lossy/main.tf': resource('a', LINE),
      'slow/main.tf': command('a', `while [ ! -e ${go} ]; do sleep 0.2; done`),
      'failing/main.tf': command('a', `${printing(LINE)}; exit 1`),
      'empty/main.tf': 'locals {}\n',
    };
    await world.alice.push(repo, { message: `${HOSTILE}\n\n${LINE}`, files });
    browser = await startBrowser();
    alice = await HttpVisitor.signIn(world, 'alice');
    const lossy = await waitFor('lossy', 'needs_confirmation');
    await alice.post(`/runs/${lossy}/confirm`);
    await waitFor('lossy', 'applied');
    await waitFor('hostile', 'needs_confirmation');
    await waitFor('broken', 'plan_errored');
    await waitFor('slow', 'applying');
    await waitFor('failing', 'apply_errored');
    await waitFor('empty', 'no_changes');
    await world.alice.push(repo, { message: LINE, files: { 'lossy/main.tf': resource('b', HOSTILE) } });
    await waitFor('lossy', 'needs_confirmation');
    pr = await world.pullRequest(
      repo,
      { 'hostile/more.tf': resource('more', LINE) },
      {
        branch: BRANCH,
        title: HOSTILE.slice(0, 2_000),
        message: HOSTILE,
      },
    );
    await waitFor('hostile', 'planned');
    const queued = await alice.post(`${place('hostile')}/queue-plan`, { message: HOSTILE.slice(0, 1_000) });
    expect(queued.status).toBe(303);
    const discarded = await alice.post(`${place('hostile')}/queue-plan`, { message: 'Not this one' });
    await alice.post(`${discarded.headers.location?.split('?')[0]}/discard`);
    const other = await HttpVisitor.signIn(world, LOGIN);
    for (const path of [`/runs/${await waitFor('hostile', 'needs_confirmation')}/comment`]) {
      for (const comment of [`${LINE}\n${'x\n'.repeat(30)}`, HOSTILE.slice(0, 5_000)]) {
        expect((await other.post(path, { comment })).status).toBe(303);
      }
    }
    expect((await other.post(`${place('broken')}/lock`, { reason: LINE.slice(0, 300) })).status).toBe(303);

    visitor = await Visitor.signIn(world, browser, LOGIN);
    const { context, page } = visitor;
    await context.route(/.*/, (route) => {
      const { origin } = new URL(route.request().url());
      if (origin === world.url) return route.continue();
      elsewhere.push(route.request().url());
      return route.abort();
    });
    page.on('dialog', (dialog) => {
      dialogs.push(dialog.message());
      void dialog.dismiss();
    });
  });
  afterAll(async () => {
    await browser?.close();
    if (go) await writeFile(go, '');
    await world?.end();
  });

  /** Nothing ran, nothing came from elsewhere, and everything is in its place. */
  async function unharmed(page: Page, what: string): Promise<void> {
    for (const width of [1280, 375]) {
      await page.setViewportSize({ width, height: 800 });
      const seen = await page.evaluate(() => {
        const foreign = [
          ...document.querySelectorAll('script, img, iframe, object, embed, base, style, link, a, form, *'),
        ]
          .filter((element) => {
            const attributes = [...element.attributes].map(({ name }) => name);
            if (attributes.some((name) => name.startsWith('on') || name === 'style' || name === 'autofocus'))
              return true;
            if (element.matches('iframe, object, embed, base, style, svg[onload]')) return true;
            if (element.matches('script, img, link')) {
              const address = element.getAttribute('src') ?? element.getAttribute('href');
              return !address?.startsWith('/assets/');
            }
            return (
              element instanceof HTMLAnchorElement && !/^(https?:|\/(?!\/)|#)/.test(element.getAttribute('href') ?? '')
            );
          })
          .map((element) => element.outerHTML.slice(0, 200));
        const header = document.querySelector('.site-header')?.getBoundingClientRect();
        const controls = document.querySelector('.controls-bar')?.getBoundingClientRect();
        return {
          foreign,
          ran: 'broken' in window,
          overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
          header: header && [header.left >= 0, header.right <= innerWidth, header.height < 200],
          controls: controls === undefined || (controls.left >= 0 && controls.right <= innerWidth),
          firstHeadings: document.querySelectorAll('h1').length,
        };
      });
      expect([what, width, seen]).toEqual([
        what,
        width,
        { foreign: [], ran: false, overflow: 0, header: [true, true, true], controls: true, firstHeadings: 1 },
      ]);
    }
    expect([what, dialogs, elsewhere, visitor.complaints]).toEqual([what, [], [], []]);
    await page.setViewportSize({ width: 1280, height: 800 });
  }

  const pages = async (): Promise<[string, string][]> => [
    ['the list', '/'],
    ['the list, searched', `/?q=${encodeURIComponent(HOSTILE.slice(0, 3_000))}&repository=${encodeURIComponent(LINE)}`],
    ['a workspace with a queue', place('hostile')],
    ['a workspace whose runs are searched', `${place('hostile')}?q=${encodeURIComponent(LINE)}`],
    ['a locked workspace', place('broken')],
    ['a run that waits', `/runs/${await waitFor('hostile', 'needs_confirmation')}`],
    ['a question', `/runs/${await waitFor('lossy', 'needs_confirmation')}?ask=apply`],
    ['a run that failed', `/runs/${await waitFor('broken', 'plan_errored')}`],
    ['an apply that failed', `/runs/${await waitFor('failing', 'apply_errored')}`],
    ['a run of a pull request', `/runs/${await waitFor('hostile', 'planned')}`],
    ['a run that was queued by hand', `/runs/${await waitFor('hostile', 'pending')}`],
    ['state versions', `${place('lossy')}/state-versions`],
    ['a state version', await newestVersion('lossy')],
  ];

  test('does nothing, and breaks no layout', async () => {
    const { page } = visitor;
    for (const [what, path] of await pages()) {
      expect([what, await visitor.goto(path)]).toEqual([what, 200]);
      await page.evaluate(() => {
        for (const details of document.querySelectorAll('details')) details.open = true;
      });
      await unharmed(page, what);
    }
    await visitor.goto(`/runs/${await waitFor('hostile', 'planned')}`);
    const text = await page.locator('main').innerText();
    expect(text).toContain('<script>alert(1);window.broken=1</script>');
    expect(await page.locator('#facts').innerText()).toContain(`#${pr.number}`);
  });

  test('does nothing in addresses either', async () => {
    const { page } = visitor;
    for (const path of [
      `${place('x')}${encodeURIComponent(LINE)}`,
      `/runs/${encodeURIComponent(LINE)}`,
      `/runs/x?did=${encodeURIComponent(TAGS)}#${encodeURIComponent(TAGS)}`,
      `/?before=${encodeURIComponent(TAGS)}`,
      `/auth/callback?error=${encodeURIComponent(TAGS)}&error_description=${encodeURIComponent(TAGS)}`,
    ]) {
      const answered = await visitor.goto(path);
      expect([path, [400, 403, 404].includes(answered)]).toEqual([path, true]);
      // A browser says in its console that the page wasn't 200.
      const others = visitor.complaints.filter((complaint) => !complaint.startsWith('Failed to load resource'));
      visitor.complaints.splice(0, visitor.complaints.length, ...others);
      await unharmed(page, path);
    }
  });

  test('axe-core finds nothing, on any page, light and dark, and where one is can be seen', async () => {
    const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
    const states = await world.query<{ id: string; state: string }>(
      'select distinct on (state) id, state from runs order by state, sequence desc',
    );
    expect(states.map(({ state }) => state)).toEqual(
      expect.arrayContaining([
        ...['applied', 'applying', 'apply_errored', 'discarded', 'needs_confirmation', 'no_changes'],
        ...['pending', 'plan_errored', 'planned'],
      ]),
    );
    const paths: [string, string][] = [
      ...(await pages()),
      ['an empty list', '/?q=nothing-at-all'],
      ...states
        .filter(({ state }) => ['applied', 'applying', 'discarded', 'no_changes'].includes(state))
        .map(({ id, state }): [string, string] => [`a run that is ${state}`, `/runs/${id}`]),
      ['nothing', '/nothing'],
      ['nonsense', '/?before=x'],
      ['too late', `/runs/${states[0]?.id}/confirm`],
      ['signed out', '/auth/signed-out'],
    ];
    const signedIn = await visitor.context.storageState();
    const found: string[] = [];
    for (const colorScheme of ['light', 'dark'] as const) {
      const options = { bypassCSP: true, colorScheme, viewport: { width: 1280, height: 800 } };
      const nobody: typeof signedIn = { cookies: [], origins: [] };
      const visits: [typeof signedIn, [string, string][]][] = [
        [signedIn, paths],
        [nobody, [['signing in', '/']]],
      ];
      for (const [storageState, those] of visits) {
        const context = await browser.newContext({ ...options, storageState });
        const page = await context.newPage();
        for (const [what, path] of those) {
          await page.goto(world.url + path);
          await page.evaluate(axe);
          const violations = await page.evaluate(async () => {
            const { axe: tool } = window as unknown as { axe: { run(): Promise<{ violations: Violation[] }> } };
            const { violations } = await tool.run();
            return violations.map(
              ({ id, nodes }) =>
                `${id}: ${nodes
                  .map(({ html }) => html.slice(0, 160))
                  .slice(0, 3)
                  .join(' | ')}`,
            );
          });
          found.push(...violations.map((violation) => `${what}, ${colorScheme}: ${violation}`));
        }
        await context.close();
      }
    }
    expect(found).toEqual([]);

    const { page } = visitor;
    await visitor.goto('/');
    for (let n = 0; n < 8; n++) {
      await page.keyboard.press('Tab');
      const outlined = await page.evaluate(() => {
        const element = document.activeElement;
        if (!element || element === document.body) return 'nothing has the focus';
        const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(element);
        const seen = (outlineStyle !== 'none' && outlineWidth !== '0px') || boxShadow !== 'none';
        return seen || element.outerHTML.slice(0, 120);
      });
      expect(outlined).toBe(true);
    }
  }, 240_000);

  test('does nothing when it arrives while the page is open', async () => {
    const { page } = visitor;
    const run = await waitFor('hostile', 'needs_confirmation');
    await visitor.goto(`/runs/${run}`);
    const comments = page.locator('#timeline .event-comment');
    const before = await comments.count();
    await page.getByLabel('Comment', { exact: true }).fill('half of a thought');
    await alice.post(`/runs/${run}/comment`, { comment: `live ${LINE}` });
    await comments.nth(before).waitFor();
    expect(await page.getByLabel('Comment', { exact: true }).inputValue()).toBe('half of a thought');
    await unharmed(page, 'a comment that arrives');
    await alice.post(`/runs/${run}/confirm`);
    await visitor.state('Applied');
    const output = page.locator('[role=log][aria-label="Apply output"]');
    await output.getByText('Apply complete!').waitFor({ state: 'attached' });
    const text = (await output.textContent()) ?? '';
    expect(text).toContain('<script>alert(1);window.broken=1</script>');
    // Carriage returns end lines, and nothing is left that a terminal would act upon.
    expect([text.includes('\r'), text.includes('\u001b')]).toEqual([false, false]);
    await page.evaluate(() => {
      for (const details of document.querySelectorAll('details')) details.open = true;
    });
    await unharmed(page, 'a run that was applied meanwhile');
    await visitor.goto(`/runs/${run}`);
    // A long plan's output comes first.
    await output.getByText('Apply complete!').waitFor({ state: 'attached' });
    expect(await output.textContent()).toBe(text);
    const raw = await alice.get(`/runs/${run}/apply.txt`);
    expect(raw.text.replaceAll(/\r\n?/g, '\n')).toBe(text);
    await visitor.goto(await newestVersion('hostile'));
    await unharmed(page, 'a state version with all of it');
  });
});

interface Violation {
  id: string;
  nodes: { html: string }[];
}
