import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Browser } from 'playwright-core';
import { browserAvailable, startBrowser } from '../support/browser.js';
import type { Repository } from '../support/github/index.js';
import { Gates } from './gates.js';
import { screen } from './screens.js';
import { Visitor } from './visitor.js';
import { hcl, onPostgres, resource, SETTINGS, World } from './world.js';

const suite = browserAvailable ? describe : describe.skip;

suite('On the pages', () => {
  let world: World;
  let browser: Browser;
  let gates: Gates;
  let infra: Repository;
  let alice: Visitor;

  beforeAll(async () => {
    world = await World.start(onPostgres);
    browser = await startBrowser();
    gates = await Gates.start();
    infra = await world.repository({ name: 'infra' });
    const settings = ['workspaces:', ...WORKSPACES.map(([name, more]) => entry(name, more)), ''].join('\n');
    await world.alice.push(infra, {
      files: {
        [SETTINGS]: settings,
        'network/main.tf': network(world, gates),
        'database/main.tf': database,
        'cluster/main.tf': resource('nodes', 'three of them'),
        'monitoring/main.tf': 'resource "terraform_data" "alerts" {\n  input = var.receiver\n}\n',
        'dns/main.tf': dns(world),
      },
      message: 'Move the network to eu-central-1',
    });
    await world.check(infra, { name: 'signalbox/database', status: 'completed' });
    await world.check(infra, { name: 'signalbox/cluster', status: 'completed' });
    await world.check(infra, { name: 'signalbox/monitoring', status: 'completed' });
    await world.check(infra, { name: 'signalbox/dns', status: 'completed' });
  }, 120_000);
  afterAll(async () => {
    await browser?.close();
    gates?.openAll();
    await world?.end();
    await gates?.close();
  }, 120_000);

  test('who signs in sees every workspace with the state of its run, those that run or wait for somebody first', async () => {
    alice = await Visitor.signIn(world, browser, 'alice');
    const rows = alice.page.getByRole('listitem').filter({ hasText: 'acme/infra' });
    expect((await rows.allInnerTexts()).map((text) => text.split('\n').slice(0, 2).join(': ')).toSorted()).toEqual([
      'Applied: cluster',
      'Needs Confirmation: database',
      'Needs Confirmation: dns',
      'Plan Errored: monitoring',
      'Planning: network',
    ]);
    const states = await rows.locator('.state-word').allInnerTexts();
    expect(states.slice(0, 3).toSorted()).toEqual(['Needs Confirmation', 'Needs Confirmation', 'Planning']);
    await screen(alice.page, 'workspaces');
    await screen(alice.page, 'workspaces-dark', 'dark');
  });

  test('a run plans, waits for somebody, is confirmed and applied resource by resource, all on a page that is never reloaded', async () => {
    const { page } = alice;
    await page.getByRole('link', { name: 'network', exact: true }).click();
    await page.locator('#runs').getByRole('link', { name: 'Move the network' }).click();
    await alice.state('Planning');
    let { loads } = alice;
    const output = page.getByRole('log', { name: 'Plan output' });
    await output.filter({ hasText: 'data.terraform_remote_state.dns: Refreshing...' }).waitFor();
    expect(await output.innerText()).not.toContain('Refresh complete');
    expect(await alice.buttons()).toEqual(['Cancel Run']);
    await screen(page, 'planning');

    gates.open('dns');
    await output.filter({ hasText: 'data.terraform_remote_state.dns: Refresh complete' }).waitFor();
    gates.open('peering');
    await alice.state('Needs Confirmation');
    await page.getByRole('button', { name: 'Confirm & Apply' }).waitFor();
    expect(await alice.buttons()).toEqual(['Confirm & Apply', 'Discard Plan']);
    await output.waitFor({ state: 'hidden' });
    const plan = page.getByRole('region', { name: 'Plan', exact: true });
    await plan.getByText('terraform_data.vpc').click();
    await plan.getByText('"10.0.0.0/16"').waitFor();
    await screen(page, 'confirm');
    await screen(page, 'confirm-dark', 'dark');
    await screen(page, 'confirm-narrow', 'narrow');

    expect(alice.loads).toBe(loads);
    await alice.press('Confirm & Apply');
    await page.waitForURL(/did=confirm/);
    await alice.state('Applying');
    loads = alice.loads;
    const progress = page.getByRole('region', { name: 'Progress' });
    for (const [done, name] of ['vpc', 'subnet', 'routes', 'gateway'].entries()) {
      await progress.getByText(`${done} of 4 resources applied, 1 in progress`).waitFor();
      await progress.getByText(`terraform_data.${name}`).filter({ visible: true }).first().waitFor();
      if (name === 'routes') await screen(page, 'applying');
      await release(world, name);
    }
    await alice.state('Applied');
    await progress.getByText('4 of 4 resources applied').waitFor();
    expect(alice.loads).toBe(loads);
    expect(await alice.buttons()).toEqual([]);
    await alice.outputsAreThoseOnRecord();
    expect(alice.complaints).toEqual([]);
  });

  test('what destroys or replaces something is asked about once more', async () => {
    const { page } = alice;
    await world.alice.push(infra, { files: { 'network/main.tf': smallerNetwork }, message: 'Do without the gateway' });
    await alice.openNewestRun(infra, 'network', 'Do without the gateway');
    await alice.state('Needs Confirmation');
    await alice.press('Confirm & Apply');
    const question = page.locator('.question');
    expect(await question.innerText()).toContain(
      'destroys 1 and replaces 1 resource: terraform_data.gateway, terraform_data.subnet',
    );
    expect(await page.getByRole('status').innerText()).toContain('Needs Confirmation');
    await screen(page, 'question');
    await page.getByRole('link', { name: 'Back to the plan' }).click();
    expect(await alice.buttons()).toEqual(['Confirm & Apply', 'Discard Plan']);
    await alice.press('Confirm & Apply');
    await question.waitFor();
    await alice.press('Confirm & Apply');
    await alice.state('Applied');
    expect(await alice.timeline()).toContain('alice confirmed the plan');
    await alice.outputsAreThoseOnRecord();
  });

  test('a locked workspace’s runs wait, and a page that was opened before, during or after a run ends up the same', async () => {
    const { page } = alice;
    await alice.openWorkspace(infra, 'cluster');
    await page.getByLabel('Reason').fill('The cluster is being moved');
    await alice.press('Lock');
    await page.getByText('alice locked this workspace').waitFor();
    await page.getByText('The cluster is being moved').waitFor();

    await page.getByLabel('Message').fill('See whether anything drifted');
    await alice.press('Queue Plan');
    await page.getByRole('heading', { name: 'See whether anything drifted' }).waitFor();
    await alice.state('Pending');
    const progress = page.getByRole('region', { name: 'Progress' });
    expect(await progress.innerText()).toContain('alice locked cluster');
    expect(await progress.innerText()).toContain('The cluster is being moved');
    expect(await progress.innerText()).toContain('alice or an administrator can unlock it');
    await world.alice.push(infra, { files: { 'cluster/main.tf': cluster(world) }, message: 'A fourth node' });
    const queue = page.locator('.queue');
    await world.until(infra, 'a queue of two', async () => {
      await alice.openWorkspace(infra, 'cluster');
      return (await queue.getByRole('link').count()) === 2;
    });
    expect(await queue.innerText()).toMatch(
      /See whether anything drifted[\s\S]*next[\s\S]*A fourth node[\s\S]*number 2/,
    );
    await screen(page, 'workspace');

    await queue.getByRole('link', { name: 'See whether anything drifted' }).click();
    expect(await alice.buttons()).toEqual(['Discard Run']);
    await alice.press('Discard Run');
    await alice.state('Discarded');
    expect(await alice.timeline()).toContain('alice discarded the run');

    await alice.openNewestRun(infra, 'cluster', 'A fourth node');
    await alice.state('Pending');
    const before = await alice.anotherPage();
    await alice.openWorkspace(infra, 'cluster');
    await alice.press('Unlock');
    await page.getByText('You unlocked this workspace').waitFor();
    await before.state('Applying');
    const during = await before.anotherPage();
    await release(world, 'nodes');
    await during.state('Applied');
    await before.state('Applied');
    const after = await before.anotherPage();
    await after.outputsAreThoseOnRecord();
    const wanted = await after.contents();
    expect(await before.contents()).toEqual(wanted);
    expect(await during.contents()).toEqual(wanted);
    expect(wanted.apply).toContain('terraform_data.nodes: Creation complete');

    await alice.openWorkspace(infra, 'cluster');
    await page.getByRole('link', { name: 'Latest Run' }).click();
    await alice.state('Applied');
    await page.getByRole('heading', { name: 'A fourth node' }).waitFor();
    expect([...alice.complaints, ...before.complaints, ...during.complaints]).toEqual([]);
    for (const each of [before, during, after]) await each.page.close();
  });

  test('a plan is discarded, and what people say stands in the timeline', async () => {
    const { page } = alice;
    await alice.openNewestRun(infra, 'database', 'Move the network');
    await page.getByLabel('Comment').fill('Not before the backup is done.\nThen gladly.');
    await alice.press('Add comment');
    await page.getByText('Your comment is in the timeline').waitFor();
    expect(await alice.timeline()).toMatch(/alice commented[\s\S]*Not before the backup is done\.\nThen gladly\./);
    await alice.press('Discard Plan');
    await alice.state('Discarded');
    expect(await alice.timeline()).toContain('alice discarded the run');
    expect(await alice.buttons()).toEqual([]);
  });

  test('an apply is canceled; when that does not help, Force Cancel appears by itself ten seconds later, for administrators only', async () => {
    const hangs = gates.data('receivers', 'depends_on = [terraform_data.alerts]');
    const files = { 'monitoring/main.tf': `${resource('alerts', 'on call')}${hangs}` };
    await world.alice.push(infra, { files, message: 'Wake somebody up' });
    const { page } = alice;
    await alice.openNewestRun(infra, 'monitoring', 'Wake somebody up');
    await alice.state('Needs Confirmation');
    await alice.press('Confirm & Apply');
    await alice.state('Applying');
    const root = await Visitor.signIn(world, browser, 'root');
    await root.page.goto(page.url());
    await root.page.getByRole('log', { name: 'Apply output' }).filter({ hasText: 'receivers: Refreshing' }).waitFor();
    await alice.press('Cancel Run');
    const asked = Date.now();
    await page.getByText('alice asked to cancel').first().waitFor();
    await root.page.getByRole('region', { name: 'Timeline' }).filter({ hasText: 'alice asked to cancel' }).waitFor();
    const { loads } = root;
    expect(await root.buttons()).not.toContain('Force Cancel');
    await root.page.getByRole('button', { name: 'Force Cancel' }).waitFor({ timeout: 40_000 });
    expect(root.loads).toBe(loads);
    expect(Date.now() - asked).toBeGreaterThan(9_000);
    expect(await alice.buttons()).not.toContain('Force Cancel');
    await root.press('Force Cancel');
    await root.state('Canceled');
    await alice.state('Canceled');
    expect(await alice.timeline()).toContain('root forced the cancel');
    expect(await page.locator('#status').innerText()).toContain('The state may be incomplete');
    await root.close();
    gates.open('receivers');
  });

  test('without scripts every page is readable and every control works', async () => {
    const carol = await Visitor.signIn(world, browser, 'carol', { javaScriptEnabled: false });
    const { page } = carol;
    await carol.openNewestRun(infra, 'dns', 'Move the network');
    await page.getByText('Plan output').click();
    expect(await page.getByRole('log', { name: 'Plan output' }).innerText()).toContain('Plan: 1 to add');
    await carol.press('Discard Plan');
    await page.getByText('You discarded this run').waitFor();
    expect(await page.getByRole('status').innerText()).toContain('Discarded');
    await page.getByLabel('Comment').fill('Once more, by hand');
    await carol.press('Add comment');
    expect(await carol.timeline()).toContain('Once more, by hand');

    await carol.openWorkspace(infra, 'dns');
    await page.getByLabel('Reason').fill('No scripts');
    await carol.press('Lock');
    await page.getByText('carol locked this workspace').waitFor();
    await carol.press('Unlock');
    await page.getByText('Not locked').waitFor();
    await page.getByLabel('Message').fill('Without scripts');
    await carol.press('Queue Plan');
    await page.getByText('You queued this run').waitFor();
    await carol.reloadUntil('Needs Confirmation');
    await carol.press('Confirm & Apply');
    await page.getByText('You confirmed this plan').waitFor();
    await carol.reloadUntil('Applying');
    await world.until(infra, 'the apply', async () => {
      await page.reload();
      return (await page.getByRole('log', { name: 'Apply output' }).textContent())?.includes('registrar');
    });
    await carol.press('Cancel Run');
    await page.getByText('You asked to cancel this run').waitFor();
    await carol.reloadUntil('Canceled');
    await page.getByText('Apply output').click();
    await carol.outputsAreThoseOnRecord();

    await carol.openWorkspace(infra, 'network');
    await page.getByRole('link', { name: 'All state versions' }).click();
    await page.getByRole('heading', { name: 'State versions' }).waitFor();
    await page
      .locator('main')
      .getByRole('link', { name: /^(serial|#)?\s*\d+/i })
      .first()
      .click();
    expect(await page.locator('main').innerText()).toContain('terraform_data.vpc');
    await carol.press('Sign out');
    await page.getByRole('heading', { name: 'You are signed out' }).waitFor();
    await carol.close();
  });

  test('the keyboard alone is enough', async () => {
    const { page } = alice;
    await alice.openWorkspace(infra, 'dns');
    await alice.tabTo('Message');
    await page.keyboard.type('By keyboard');
    await alice.tabTo('Queue Plan');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'By keyboard' }).waitFor();
    await alice.state('Needs Confirmation');
    await page.getByRole('button', { name: 'Discard Plan' }).waitFor();
    await alice.tabTo('Plan output');
    const output = page.getByRole('log', { name: 'Plan output' });
    const shown = await output.isVisible();
    await page.keyboard.press('Enter');
    await output.waitFor({ state: shown ? 'hidden' : 'visible' });
    await alice.tabTo('Comment');
    await page.keyboard.type('Typed, not clicked');
    await alice.tabTo('Add comment');
    await page.keyboard.press('Enter');
    await page.getByText('Your comment is in the timeline').waitFor();
    // What was canceled while it was made is made anew, which is asked about.
    await alice.tabTo('Confirm & Apply');
    await page.keyboard.press('Enter');
    await page.locator('.question').waitFor();
    await alice.tabTo('Confirm & Apply');
    await page.keyboard.press('Enter');
    await alice.state('Applying');
    await alice.tabTo('Cancel Run');
    await page.keyboard.press('Enter');
    await alice.state('Canceled');
    expect(await alice.timeline()).toContain('Typed, not clicked');
  });

  test('lists are filtered by name, repository and state, and go from page to page', async () => {
    await world.query(MANY_WORKSPACES);
    await world.query(MANY_RUNS);
    const { page } = alice;
    await alice.goto('/');
    const names = page.locator('.list-name');
    expect(await names.count()).toBe(50);
    const first = await names.allInnerTexts();
    await page.getByRole('link', { name: 'Older' }).click();
    const second = await names.allInnerTexts();
    expect(new Set([...first, ...second]).size).toBe(65);
    await page.getByRole('link', { name: 'Newer' }).click();
    expect(await names.allInnerTexts()).toEqual(first);
    await page.getByLabel('Search workspaces').fill('many-7');
    await page.getByRole('button', { name: 'Filter' }).click();
    expect(await names.allInnerTexts()).toEqual(['many-7']);
    expect(new URL(page.url()).searchParams.get('q')).toBe('many-7');
    await page.getByRole('link', { name: 'Clear' }).click();
    await page.getByLabel('State', { exact: true }).selectOption('Canceled');
    await page.getByLabel('Repository', { exact: true }).selectOption('acme/infra');
    await page.getByRole('button', { name: 'Filter' }).click();
    expect((await names.allInnerTexts()).toSorted()).toEqual(['dns', 'monitoring']);
    await alice.goto('/?q=nothing-is-called-so');
    await page.getByText('No workspace matches').waitFor();

    await alice.openWorkspace(infra, 'many-1');
    expect(await names.first().innerText()).toBe('Change 45');
    await page.getByRole('link', { name: 'Older' }).click();
    await page.getByRole('link', { name: 'Older' }).click();
    expect((await names.allInnerTexts()).at(-1)).toBe('Change 1');
    await page.getByRole('link', { name: 'Newer' }).click();
    expect(await names.first().innerText()).toBe('Change 25');
    await page.getByLabel('Search runs').fill('Change 44');
    await page.getByRole('button', { name: 'Filter' }).click();
    expect(await names.allInnerTexts()).toEqual(['Change 44']);
    await page.getByLabel('State', { exact: true }).selectOption('Applied');
    await page.getByRole('button', { name: 'Filter' }).click();
    await page.getByText('No run matches').waitFor();
    expect(alice.complaints).toEqual([]);
  });
});

const WORKSPACES = [
  ['network', ''],
  ['database', ''],
  ['cluster', 'auto-apply: true'],
  ['monitoring', ''],
  ['dns', ''],
] as const;

function entry(name: string, more: string): string {
  return [`  - name: ${name}`, `    directory: ${name}`, ...(more ? [`    ${more}`] : [])].join('\n');
}

/** A resource whose making ends when the test says so: `release()`. */
function held(world: World, name: string, says: string, more = ''): string {
  return `resource "terraform_data" "${name}" {
  ${more}
  provisioner "local-exec" {
    command = ${hcl(`echo '${says}'; until [ -e ${join(world.directory, `go-${name}`)} ]; do sleep 0.1; done`)}
  }
}
`;
}

async function release(world: World, name: string): Promise<void> {
  await writeFile(join(world.directory, `go-${name}`), '');
}

function network(world: World, gates: Gates): string {
  return [
    gates.data('dns'),
    gates.data('peering'),
    held(world, 'vpc', 'Reserving 10.0.0.0/16', 'input = { cidr = "10.0.0.0/16", region = "eu-central-1" }'),
    held(world, 'subnet', 'Cutting it into 3', 'input = terraform_data.vpc.output.cidr\n  triggers_replace = 3'),
    held(world, 'routes', 'Writing 12 routes', 'input = terraform_data.subnet.output'),
    held(world, 'gateway', 'Waiting for the gateway', 'input = terraform_data.routes.output'),
    'output "cidr" {\n  value = terraform_data.vpc.output.cidr\n}\n',
  ].join('\n');
}

const smallerNetwork = [
  'resource "terraform_data" "vpc" {\n  input = { cidr = "10.0.0.0/16", region = "eu-central-1" }\n}\n',
  'resource "terraform_data" "subnet" {\n  input = terraform_data.vpc.output.cidr\n  triggers_replace = 4\n}\n',
  'resource "terraform_data" "routes" {\n  input = terraform_data.subnet.output\n}\n',
  'output "cidr" {\n  value = terraform_data.vpc.output.cidr\n}\n',
].join('\n');

const database = `${resource('primary', 'a database')}${resource('replica', 'another one')}`;

function cluster(world: World): string {
  return held(world, 'nodes', 'Starting the fourth', 'input = "four of them"\n  triggers_replace = "four"');
}

function dns(world: World): string {
  return held(world, 'zone', 'Asking the registrar', 'input = "example.com"');
}

const MANY_WORKSPACES = `insert into workspaces (repository_id, name, directory, branch, auto_apply, trigger_prefixes,
    trigger_patterns, apply_requirements, supersede_pending)
  select repository_id, 'many-' || n, 'many/' || n, branch, auto_apply, trigger_prefixes, trigger_patterns,
    apply_requirements, supersede_pending
  from workspaces, generate_series(1, 60) n where name = 'dns'`;
const MANY_RUNS = `insert into runs (id, workspace_id, repository_id, speculative, state, trigger, actor, commit_sha,
    commit_message, branch, settings, auto_apply, ended_at)
  select 'run-' || lpad(n::text, 16, '0'), w.id, w.repository_id, false, 'no_changes', 'push', 'alice', repeat('c', 40),
    'Change ' || n, 'main', '{"name":"many-1","directory":"many/1","branch":"main","autoApply":false,"applyRequirements":[]}',
    false, now()
  from workspaces w, generate_series(1, 45) n where w.name = 'many-1' order by n`;
