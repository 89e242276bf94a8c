import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Browser, Page } from 'playwright-core';
import { createDb, createPool, type Db } from '../../src/db/pool.js';
import { findRun } from '../../src/runs/store.js';
import { Encryption } from '../../src/variables/encryption.js';
import { createMask } from '../../src/variables/masking.js';
import { OutputLog } from '../../src/worker/output-log.js';
import { browserAvailable, startBrowser } from '../support/browser.js';
import { Visitor } from './visitor.js';
import { onPostgres, resource, SETTINGS, World, workspaces } from './world.js';

const suite = browserAvailable ? describe : describe.skip;

const LINES = 100_000;
const RESOURCES = 2_000;
const MIB = 1024 * 1024;

/** What Terraform prints for a plan of many resources: five lines for each, most of them with a colour. */
const coloured = Array.from({ length: LINES / 5 }, (_, n) =>
  [
    `\u001b[1m  # terraform_data.fleet["${n}"]\u001b[0m will be created`,
    `  \u001b[32m+\u001b[0m\u001b[0m resource "terraform_data" "fleet" {`,
    `      \u001b[32m+\u001b[0m\u001b[0m id    = (known after apply)`,
    `      \u001b[32m+\u001b[0m\u001b[0m input = "<${n}> & so on, for as long as a line of a plan is"`,
    n === LINES / 5 - 1 ? '    } # the very end' : '    }',
  ].join('\n'),
).join('\n');
// biome-ignore lint/suspicious/noControlCharactersInRegex: it is what colours begin with.
const text = coloured.replace(/\u001b\[\d+m/g, '');
const lines = text.split('\n');

suite('A page with a great deal on it', () => {
  let world: World;
  let browser: Browser;
  let visitor: Visitor;
  let db: Db;
  const runs = new Map<string, string>();

  beforeAll(async () => {
    world = await World.start(onPostgres);
    browser = await startBrowser();
    const repository = await world.repository();
    const settings = workspaces(['output', 'plan']);
    const files = { 'output/main.tf': resource('a', 'x'), 'plan/main.tf': resource('a', 'x') };
    const sha = await world.alice.push(repository, { files: { [SETTINGS]: settings, ...files } });
    for (const name of ['output', 'plan']) {
      await world.check(repository, { name: `signalbox/${name}`, sha, conclusion: 'action_required' });
    }
    for (const { name, id } of await world.query<{ name: string; id: string }>(
      'select w.name, r.id from runs r join workspaces w on w.id = r.workspace_id',
    )) {
      runs.set(name, id);
    }
    db = createDb(createPool({ connectionString: world.database.url, max: 1, onError: () => undefined }));
    const run = await findRun(db, runs.get('output') ?? '');
    // As if it had been planned again: a page shows the last attempt.
    const log = new OutputLog(db, { ...run, attempt: run.attempt + 1 }, 'plan', createMask([]));
    log.append(coloured);
    await log.end();
    await recordPlan(db, new Encryption(Buffer.from(world.encryptionKey, 'hex')), runs.get('plan') ?? '');
    visitor = await Visitor.signIn(world, browser, 'alice');
    await visitor.context.grantPermissions(['clipboard-read', 'clipboard-write']);
  });
  afterAll(async () => {
    await db?.destroy();
    await browser?.close();
    await world?.end();
  });

  test('a hundred thousand lines of output are usable at once, and light', async () => {
    const { page } = visitor;
    const before = performance.now();
    await visitor.goto(`/runs/${runs.get('output')}`);
    await page.getByText('Plan output').click();
    await page.locator('#plan-L1').waitFor();
    const usable = performance.now() - before;
    await allThere(page);
    const arrived = performance.now() - before;
    const { heap, nodes } = await weigh(visitor);
    print(
      `${LINES} lines: first paint ${await firstPaint(page)} ms, usable after ${usable.toFixed(0)} ms, all there after ` +
        `${arrived.toFixed(0)} ms, ${(heap / MIB).toFixed(0)} MiB of memory for ${(text.length / MIB).toFixed(0)} MiB of text, ${nodes} nodes`,
    );
    expect(await firstPaint(page)).toBeLessThan(5_000);
    expect(heap).toBeLessThan(text.length + 120 * MIB);
    expect(nodes).toBeLessThan(60_000);
    expect(await page.getByRole('log').evaluate((log) => log.textContent)).toBe(text);
    expect(visitor.complaints).toEqual([]);
  });

  test('its end is reached by a link and by keyboard, and its colours are there', async () => {
    const { page } = visitor;
    const log = page.getByRole('log', { name: 'Plan output' });
    const last = page.locator(`#plan-L${LINES}`);
    await page.getByRole('link', { name: 'To the end' }).click();
    await inView(page, last);
    expect(await distanceToEnd(page)).toBeLessThan(2);
    await page.keyboard.press('Home');
    await inView(page, page.locator('#plan-L1'));
    await page.keyboard.press('PageDown');
    await page.waitForFunction(() => (document.querySelector('[role=log]')?.scrollTop ?? 0) > 100);
    await page.keyboard.press('End');
    await inView(page, last);
    await log.locator('.ansi-fg-green').last().waitFor();
    expect(await log.locator('.ansi-bold').last().textContent()).toBe(`  # terraform_data.fleet["${LINES / 5 - 1}"]`);
    expect(await log.evaluate((element) => element.textContent)).toBe(text);
    // What is out of sight again is as light as before.
    expect((await weigh(visitor)).nodes).toBeLessThan(60_000);
  });

  test('a line has a place of its own that its number does not change', async () => {
    const { page } = visitor;
    const top = (line: number) =>
      page.getByRole('log').evaluate((log, line) => {
        const chunk = log.children[Math.floor((line - 1) / 200)] as Element;
        const walker = document.createTreeWalker(chunk, NodeFilter.SHOW_TEXT);
        const range = document.createRange();
        let left = (line - 1) % 200;
        for (let node = walker.nextNode(); node; node = walker.nextNode()) {
          for (let at = 0; at < (node.nodeValue ?? '').length; at++) {
            if (left > 0) {
              if (node.nodeValue?.[at] === '\n') left -= 1;
              continue;
            }
            range.setStart(node, at);
            range.setEnd(node, at + 1);
            const { x, y } = range.getBoundingClientRect();
            return { x: x - log.getBoundingClientRect().x, y: y - chunk.getBoundingClientRect().y };
          }
        }
        return undefined;
      }, line);
    const line = 70_104;
    expect(await page.locator(`#plan-L${line}`).count()).toBe(0);
    const undressed = await top(line);
    await visitor.goto(`/runs/${runs.get('output')}#plan-L${line}`);
    await inView(page, page.locator(`#plan-L${line}`));
    expect(await top(line)).toEqual(undressed);
  });

  test('a link to a line goes there as soon as it has come, marks it, and follows the next one', async () => {
    const { page } = visitor;
    await page.goto('about:blank');
    await visitor.goto(`/runs/${runs.get('output')}#plan-L50000`);
    await inView(page, page.locator('#plan-L50000.Output-line--marked'));
    await page.evaluate(() => {
      location.hash = '#plan-L75123';
    });
    await inView(page, page.locator('#plan-L75123.Output-line--marked'));
    expect(await page.locator('.Output-line--marked').count()).toBe(1);
    const number = page.locator('#plan-L75125');
    await number.click();
    await inView(page, page.locator('#plan-L75125.Output-line--marked'));
    expect(new URL(page.url()).hash).toBe('#plan-L75125');
  });

  test('search finds the last line', async () => {
    const { page } = visitor;
    await page.getByRole('searchbox', { name: 'Search output' }).fill('THE VERY END');
    await page.getByText('1 of 1', { exact: true }).waitFor();
    await inView(page, page.locator(`#plan-L${LINES}`));
    const marked = () =>
      page.evaluate(() => [...(CSS.highlights.get('output-current-plan') ?? [])].map((range) => String(range)));
    expect(await marked()).toEqual(['the very end']);
    await page.getByRole('searchbox', { name: 'Search output' }).fill('fleet["7777"]');
    await inView(page, page.locator(`#plan-L${7777 * 5 + 1}`));
    expect(await marked()).toEqual(['fleet["7777"]']);
    await page.getByRole('searchbox', { name: 'Search output' }).fill('');
  });

  test('what is copied is the text, from where it begins to where it ends', async () => {
    const { page } = visitor;
    await page.evaluate(() => {
      location.hash = '#plan-L30000';
    });
    const [from, to] = [30_000, 90_001];
    await clickLine(page, from, []);
    await page.evaluate(() => {
      location.hash = '#plan-L90001';
    });
    await clickLine(page, to, ['Shift']);
    await page.keyboard.press('Control+c');
    const copied = await page.evaluate(() => navigator.clipboard.readText());
    expect(copied).toBe(`${lines.slice(from - 1, to - 1).join('\n')}\n`);
  });

  test('a plan of two thousand resources is usable at once, to its last resource, and is sent once', async () => {
    const { page } = visitor;
    const before = performance.now();
    await visitor.goto(`/runs/${runs.get('plan')}`);
    const group = page.locator('summary', { hasText: /^Create/ });
    await group.click();
    const last = page.locator('details.resource', { hasText: `terraform_data.fleet["${RESOURCES - 1}"]` });
    await last.locator('summary').click();
    await last.getByText('the last of them').waitFor();
    const usable = performance.now() - before;
    const { heap, nodes } = await weigh(visitor);
    print(
      `${RESOURCES} resources: first paint ${await firstPaint(page)} ms, the last one unfolded after ${usable.toFixed(0)} ms, ` +
        `${(heap / MIB).toFixed(0)} MiB of memory, ${nodes} nodes`,
    );
    expect(await firstPaint(page)).toBeLessThan(5_000);
    expect(heap).toBeLessThan(200 * MIB);

    const events = await page.evaluate(async (run) => {
      const seen = await new Promise<string[]>((resolve) => {
        const source = new EventSource(`/runs/${run}/events?has=plan`);
        source.addEventListener('run', ({ data }) => {
          source.close();
          resolve(Object.keys((JSON.parse(data) as { regions: object }).regions));
        });
      });
      const asked = performance.getEntriesByType('resource').map(({ name }) => name);
      return { seen, asked: asked.filter((name) => name.includes('/events')).length };
    }, runs.get('plan'));
    expect(events.seen).toContain('status');
    expect(events.seen).not.toContain('plan');

    // The page asks in that way, and what it is sent leaves the reader's place alone.
    const asked = page.waitForRequest(/events\?.*has=plan/);
    await page.reload();
    await asked;
    await group.click();
    await last.locator('summary').click();
    await world.query(`select pg_notify('signalbox', $1)`, [`runs ${runs.get('plan')}`]);
    await last.getByText('the last of them').waitFor();
    expect(visitor.complaints).toEqual([]);
  });
});

/** Of 2,000: 100 destroyed, 100 replaced, 300 updated, the others created. */
async function recordPlan(db: Db, encryption: Encryption, run: string): Promise<void> {
  const tags = Object.fromEntries(Array.from({ length: 8 }, (_, n) => [`tag-${n}`, `value ${n}`]));
  const changes = Array.from({ length: RESOURCES }, (_, n) => {
    const actions = n < 100 ? ['delete'] : n < 200 ? ['delete', 'create'] : n < 500 ? ['update'] : ['create'];
    const values = { name: n === RESOURCES - 1 ? 'the last of them' : `number ${n}`, size: n, tags };
    return {
      address: `terraform_data.fleet["${n}"]`,
      mode: 'managed',
      type: 'terraform_data',
      name: 'fleet',
      change: {
        actions,
        before: n < 500 ? { ...values, size: n + 1 } : null,
        after: n < 100 ? null : values,
        after_unknown: {},
        before_sensitive: false,
        after_sensitive: false,
        ...(actions.length === 2 && { replace_paths: [['size']] }),
      },
    };
  });
  const json = JSON.stringify({ format_version: '1.2', terraform_version: '1.12.0', resource_changes: changes });
  const sealed = encryption.seal(`plan-json/${run}`, Buffer.from(json));
  await db.updateTable('plans').set({ plan_json: sealed }).where('run_id', '=', run).executeTakeFirstOrThrow();
}

async function allThere(page: Page): Promise<void> {
  await page.waitForFunction(
    (length) => {
      const last = document.querySelector('[role=log]')?.lastElementChild?.textContent ?? '';
      return last.endsWith('the very end') && document.querySelector('[role=log]')?.textContent?.length === length;
    },
    text.length,
    { timeout: 60_000, polling: 200 },
  );
}

async function inView(page: Page, link: ReturnType<Page['locator']>): Promise<void> {
  await link.waitFor({ timeout: 40_000 });
  await page.waitForFunction(
    (link) => {
      const log = document.querySelector('[role=log]')?.getBoundingClientRect();
      const { top = -1, bottom = 0 } = link?.getBoundingClientRect() ?? {};
      return log !== undefined && top >= log.top - 1 && bottom <= log.bottom + 1;
    },
    await link.elementHandle(),
    { timeout: 40_000 },
  );
}

async function distanceToEnd(page: Page): Promise<number> {
  return page
    .getByRole('log')
    .evaluate(({ scrollHeight, scrollTop, clientHeight }) => scrollHeight - scrollTop - clientHeight);
}

/** Before the line's first character. */
async function clickLine(page: Page, line: number, modifiers: 'Shift'[]): Promise<void> {
  const link = page.locator(`#plan-L${line}`);
  await inView(page, link);
  const box = await page.getByRole('log').boundingBox();
  const place = await link.boundingBox();
  for (const key of modifiers) await page.keyboard.down(key);
  await page.mouse.click((box?.x ?? 0) + 74, (place?.y ?? 0) + 10);
  for (const key of modifiers) await page.keyboard.up(key);
}

/** What the tab keeps in memory once rubbish is collected, in bytes: its scripts' heap, and its documents'. */
async function weigh({ context, page }: Visitor): Promise<{ heap: number; nodes: number }> {
  const session = await context.newCDPSession(page);
  await session.send('HeapProfiler.collectGarbage');
  const usage = (await session.send('Runtime.getHeapUsage')) as {
    usedSize: number;
    embedderHeapUsedSize?: number;
    backingStorageSize?: number;
  };
  const { nodes } = await session.send('Memory.getDOMCounters');
  await session.detach();
  return { heap: usage.usedSize + (usage.embedderHeapUsedSize ?? 0) + (usage.backingStorageSize ?? 0), nodes };
}

/** In ms after the page was asked for. */
async function firstPaint(page: Page): Promise<number> {
  return page.evaluate(() => Math.round(performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0));
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
