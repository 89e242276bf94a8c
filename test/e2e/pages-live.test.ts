import { existsSync } from 'node:fs';
import { readdir, readFile, readlink, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import type { Browser, Page } from 'playwright-core';
import { stripColour } from '../../src/terraform/colour.js';
import { browserAvailable, startBrowser } from '../support/browser.js';
import { Cutter } from './cutter.js';
import { Visitor } from './visitor.js';
import { apart, command, pause, resource, SETTINGS, World, workspace } from './world.js';

const suite = browserAvailable ? describe : describe.skip;

const CUTS = 50;
const PATIENCE = { timeout: 60_000 };
const seed = Number(process.env.SIGNALBOX_TEST_SEED ?? Date.now() % 1_000_000);

suite(`Pages that stay open while runs go on (SIGNALBOX_TEST_SEED=${seed})`, () => {
  let world: World;
  let browser: Browser;
  let alice: Visitor;
  let cutter: Cutter;
  const random = randomFrom(seed);
  jest.setTimeout(240_000);

  beforeAll(async () => {
    world = await World.start(apart, { env: { SANDBOX: 'off' } });
    browser = await startBrowser();
    alice = await Visitor.signIn(world, browser, 'alice');
    cutter = await Cutter.start(world.port);
  });
  afterAll(async () => {
    await browser?.close();
    await cutter?.close();
    await world?.end();
  });

  /** Pushes a workspace `network`, and yields its run as soon as there is one. */
  async function push(configuration: string): Promise<{ sha: string; run: string; path: string }> {
    const repository = await world.repository();
    const files = { [SETTINGS]: workspace('network'), 'network/main.tf': configuration };
    const sha = await world.alice.push(repository, { files });
    return runOf(sha);
  }

  async function runOf(sha: string): Promise<{ sha: string; run: string; path: string }> {
    const run = await world.github.until('a run', async () => {
      const [row] = await world.query<{ id: string }>('select id from runs where commit_sha = $1', [sha]);
      return row?.id;
    });
    return { sha, run, path: `/runs/${run}` };
  }

  async function textOnRecord(run: string, stage: 'plan' | 'apply'): Promise<string> {
    const [row] = await world.query<{ text: string }>(
      `select string_agg(text, '' order by sequence) as text from outputs where run_id = $1 and stage = $2
        and attempt = (select max(attempt) from outputs where run_id = $1 and stage = $2)`,
      [run, stage],
    );
    return stripColour(row?.text ?? '');
  }

  test('whatever is cut and whoever dies, the text on the page is the text on record', async () => {
    const stop = join(world.directory, 'said-enough');
    const loop = `i=0; while [ ! -e ${stop} ] && [ $i -lt 20000 ]; do i=$((i+1)); printf '\\033[3%dmnumber %d\\033[0m of many\\n' $((i%7+1)) $i; sleep 0.02; done`;
    const { run, path } = await push(`${resource('quiet', 'x')}${command('talkative', loop)}`);
    const before = await alice.context.newPage();
    await before.goto(`${cutter.url}${path}`);
    await state(before, 'Needs Confirmation');

    // What the reader has unfolded and begun to write is theirs, whatever comes.
    const unfolded = before.locator('details.resource', { hasText: 'terraform_data.quiet' });
    await unfolded.locator('summary').click();
    await before.getByLabel('Comment').fill('half a sent');
    await alice.goto(path);
    await alice.press('Confirm & Apply');
    await state(before, 'Applying');
    await shows(before, 'apply', 'number 5 of many');

    let during: Page | undefined;
    for (let cut = 0; cutter.cuts < CUTS; cut++) {
      await world.github.until('a stream', () => cutter.streams > 0, PATIENCE.timeout);
      await pause(random(200));
      if (cut === 10) {
        await world.kill('web');
        await pause(random(500));
        await world.startWeb();
      }
      if (cut === 15) {
        during = await alice.context.newPage();
        await during.goto(`${cutter.url}${path}`);
      }
      if (cut === 20) {
        cutter.goAway();
        await before.getByText('Reconnecting…').waitFor(PATIENCE);
        cutter.comeBack();
        await before.getByText('Reconnecting…').waitFor({ state: 'hidden', ...PATIENCE });
      }
      cutter.cutAfter(random(2) === 0 ? 0 : random(3_000));
    }
    await writeFile(stop, '');
    for (const page of [before, during]) if (page) await state(page, 'Applied');
    const after = await alice.context.newPage();
    await after.goto(`${cutter.url}${path}`);

    const plan = await textOnRecord(run, 'plan');
    const apply = await textOnRecord(run, 'apply');
    const numbers = [...apply.matchAll(/number (\d+) of many/g)].map(([, number]) => Number(number));
    expect(numbers.length).toBeGreaterThan(100);
    expect(numbers).toEqual(numbers.map((_, index) => index + 1));
    for (const page of [before, during, after]) {
      if (!page) continue;
      await shows(page, 'apply', 'Apply complete!');
      expect(await textOf(page, 'apply')).toBe(apply);
      expect(await textOf(page, 'plan')).toBe(plan);
    }
    expect(await unfolded.getAttribute('open')).not.toBeNull();
    expect(await before.getByLabel('Comment').inputValue()).toBe('half a sent');
    expect(await before.evaluate(() => document.activeElement?.id)).toBe('comment');
    for (const page of [before, during, after]) await page?.close();
  });

  test('a tab that nobody looks at gives its connection back, and has everything when somebody does', async () => {
    const stop = join(world.directory, 'nobody-looked');
    const loop = `i=0; while [ ! -e ${stop} ] && [ $i -lt 20000 ]; do i=$((i+1)); echo "number $i of many"; sleep 0.05; done`;
    const { run, path } = await push(command('talkative', loop));
    const page = await alice.context.newPage();
    await page.clock.install();
    await page.goto(`${cutter.url}${path}`);
    await state(page, 'Needs Confirmation');
    await alice.goto(path);
    await alice.press('Confirm & Apply');
    await shows(page, 'apply', 'number 5 of many');

    await look(page, false);
    await page.clock.fastForward(5_000);
    await world.github.until('the stream to end', () => cutter.streams === 0);
    const seen = (await textOf(page, 'apply')) ?? '';
    const last = seen.match(/number (\d+) of/g)?.length ?? 0;
    await shows(alice.page, 'apply', `number ${last + 60} of many`);
    expect(await textOf(page, 'apply')).toBe(seen);
    await look(page, true);
    await shows(page, 'apply', `number ${last + 60} of many`);

    // A moment in another tab is no reason.
    await look(page, false);
    await look(page, true);
    await page.clock.fastForward(5_000);
    await shows(page, 'apply', `number ${last + 120} of many`);

    await look(page, false);
    await page.clock.fastForward(5_000);
    await world.github.until('the stream to end', () => cutter.streams === 0);
    await writeFile(stop, '');
    await state(alice.page, 'Applied');
    expect(await page.title()).toContain('Applying');
    await page.clock.fastForward(60_000);
    await page.waitForFunction(() => document.title.includes('Applied'), undefined, PATIENCE);
    await world.github.until('the stream to end', () => cutter.streams === 0);
    await look(page, true);
    await shows(page, 'apply', 'Apply complete!');
    expect(await textOf(page, 'apply')).toBe(await textOnRecord(run, 'apply'));
    expect(await textOf(page, 'plan')).toBe(await textOnRecord(run, 'plan'));
    await page.close();
  });

  test('a plan that is made twice is shown as it was made last, and a form that came by itself works', async () => {
    const slow = await slowServer();
    const { run, path } = await push(`data "terraform_remote_state" "slow" {
  backend = "http"
  config  = { address = "${slow.url}" }
}
${resource('a', 'x')}`);
    const { page } = alice;
    await page.goto(`${world.url}${path}`);
    await shows(page, 'plan', 'terraform_remote_state.slow: Refreshing...');
    await world.github.until('Terraform asks', () => slow.asked() === 1);
    for (const pid of await terraformsIn(world.directory)) process.kill(pid, 'SIGKILL');
    await world.github.until('another attempt', () => slow.asked() === 2, PATIENCE.timeout);
    slow.answer();
    await state(page, 'Needs Confirmation');
    await shows(page, 'plan', 'Plan: 1 to add');
    const plan = await textOnRecord(run, 'plan');
    expect(plan.split('Refreshing...')).toHaveLength(2);
    expect(await textOf(page, 'plan')).toBe(plan);
    await alice.press('Confirm & Apply');
    await state(page, 'Applied');
    await shows(page, 'apply', 'Apply complete!');
    expect(await textOf(page, 'apply')).toBe(await textOnRecord(run, 'apply'));
    await slow.close();
  });

  test('of a large plan that came by itself stays what is unfolded, and it is not asked for again', async () => {
    const slow = await slowServer();
    const { path } = await push(`data "terraform_remote_state" "slow" {
  backend = "http"
  config  = { address = "${slow.url}" }
}
resource "terraform_data" "many" {
  count = 201
  input = "number"
}`);
    const [stays, cut] = [await alice.context.newPage(), await alice.context.newPage()];
    await stays.goto(`${world.url}${path}`);
    await cut.goto(`${cutter.url}${path}`);
    await world.github.until('Terraform asks', () => slow.asked() === 1);
    slow.answer();
    for (const page of [stays, cut]) await state(page, 'Needs Confirmation');

    await stays.locator('summary', { hasText: /^Create/ }).click();
    const unfolded = stays.locator('details.resource', { hasText: 'terraform_data.many[7]' });
    await unfolded.locator('summary').click();
    await unfolded.getByText('"number"').waitFor(PATIENCE);
    const again = cut.waitForRequest(/events\?.*has=plan/, PATIENCE);
    cutter.cutAfter(0);
    await again;
    await alice.goto(path);
    await alice.press('Discard Plan');
    for (const page of [stays, cut]) await state(page, 'Discarded');
    expect(await unfolded.getByText('"number"').isVisible()).toBe(true);
    for (const page of [stays, cut]) await page.close();
    await slow.close();
  });

  test('a run whose plan cannot be read is followed to its end', async () => {
    world.expectedErrors.push(/SealBroken.*A plan could not be shown/);
    const { run, path } = await push(resource('a', 'x'));
    await world.github.until('a plan', async () => {
      const rows = await world.query(`select 1 from runs where id = $1 and state = 'needs_confirmation'`, [run]);
      return rows.length > 0;
    });
    await world.query(`update plans set plan_json = 'no seal' where run_id = $1`, [run]);
    const { page } = alice;
    await page.goto(`${world.url}${path}`);
    await page.getByText('This plan can’t be read: see its output.').waitFor(PATIENCE);
    expect(await alice.goto(`${path}/resources/0`)).toBe(404);
    await page.goto(`${world.url}${path}`);
    const carol = await Visitor.signIn(world, browser, 'carol');
    await carol.goto(path);
    await carol.press('Discard Plan');
    await state(page, 'Discarded');
    expect(world.log.match(/A plan could not be shown/g)).toHaveLength(1);
    await carol.close();
  });

  test('a question stays while other things change, and goes when there is nothing to ask any more', async () => {
    const repository = await world.repository();
    const push = (input: string) =>
      world.alice.push(repository, {
        files: { [SETTINGS]: workspace('network'), 'network/main.tf': command('a', 'true', input) },
      });
    const { page } = alice;
    await page.goto(`${world.url}${(await runOf(await push('one'))).path}`);
    await state(page, 'Needs Confirmation');
    await alice.press('Confirm & Apply');
    await state(page, 'Applied');

    const { path } = await runOf(await push('two'));
    await page.goto(`${world.url}${path}`);
    await state(page, 'Needs Confirmation');
    await alice.press('Confirm & Apply');
    await page.getByText('This replaces 1 resource').waitFor(PATIENCE);

    const carol = await Visitor.signIn(world, browser, 'carol');
    await carol.goto(path);
    await carol.page.getByLabel('Comment').fill('Are you sure?');
    await carol.press('Add comment');
    await page.locator('#timeline').getByText('Are you sure?').waitFor(PATIENCE);
    expect(await page.getByText('This replaces 1 resource').isVisible()).toBe(true);
    await carol.press('Discard Plan');
    await state(page, 'Discarded');
    await page.getByText('This replaces 1 resource').waitFor({ state: 'hidden', ...PATIENCE });
    expect(await page.getByRole('button', { name: 'Confirm & Apply' }).count()).toBe(0);
    await carol.close();
  });
});

async function state(page: Page, title: string): Promise<void> {
  await page.getByRole('status').filter({ hasText: title }).first().waitFor(PATIENCE);
}

/** Waits until a stage's output has this. */
async function shows(page: Page, stage: string, text: string): Promise<void> {
  await page.waitForFunction(
    ([stage, text]) =>
      document.querySelector(`[role=log][data-stage=${stage}]`)?.textContent?.includes(text ?? '') ?? false,
    [stage, text],
    PATIENCE,
  );
}

/** As when somebody goes to the tab, or to another one: in a browser without a window every tab counts as seen. */
async function look(page: Page, seen: boolean): Promise<void> {
  await page.evaluate((hidden) => {
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden });
    document.dispatchEvent(new Event('visibilitychange'));
  }, !seen);
}

async function textOf(page: Page, stage: string): Promise<string | null> {
  return page.locator(`[role=log][data-stage=${stage}]`).evaluate((log) => log.textContent);
}

/** Whole numbers from 0 up to, not including, a limit: the same ones for the same seed. */
function randomFrom(seed: number): (limit: number) => number {
  let state = seed >>> 0;
  return (limit) => {
    // mulberry32
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  };
}

/** Pids of the Terraforms that plan below a directory. */
async function terraformsIn(directory: string): Promise<number[]> {
  const found: number[] = [];
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry) || !existsSync(`/proc/${entry}/cmdline`)) continue;
    const words = (await readFile(`/proc/${entry}/cmdline`, 'utf8').catch(() => '')).split('\0');
    const cwd = await readlink(`/proc/${entry}/cwd`).catch(() => '');
    if (words[0]?.endsWith('/terraform') && words[1] === 'plan' && cwd.startsWith(directory)) found.push(Number(entry));
  }
  return found;
}

/** Lets whoever asks for its state wait until `answer`. */
async function slowServer() {
  let asked = 0;
  let answers = () => {};
  const answered = new Promise<void>((resolve) => {
    answers = resolve;
  });
  const server: Server = createServer((_, response) => {
    asked += 1;
    const state = { version: 4, terraform_version: '1.5.0', serial: 1, lineage: 'x', outputs: {}, resources: [] };
    void answered.then(() => response.writeHead(200).end(JSON.stringify(state)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    asked: () => asked,
    answer: () => answers(),
    close: () => new Promise((resolve) => server.close(resolve)),
  };
}
