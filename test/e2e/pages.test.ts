import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Browser } from 'playwright-core';
import { browserAvailable, startBrowser } from '../support/browser.js';
import { Visitor } from './visitor.js';
import { onPostgres, resource, SETTINGS, World, workspace } from './world.js';

const suite = browserAvailable ? describe : describe.skip;

suite('On the pages', () => {
  let world: World;
  let browser: Browser;

  beforeAll(async () => {
    world = await World.start(onPostgres);
    browser = await startBrowser();
  });
  afterAll(async () => {
    await browser?.close();
    await world?.end();
  });

  test('a plan is confirmed and applied', async () => {
    const { alice } = world;
    const repo = await world.repository();
    await alice.push(repo, { files: { [SETTINGS]: workspace('network'), 'network/main.tf': resource('a', 'x') } });
    const visitor = await Visitor.signIn(world, browser, 'alice');
    const { page } = visitor;
    await page.getByRole('link', { name: 'network' }).click();
    await page.screenshot({ path: '/tmp/shots/workspace.png', fullPage: true });
    await page.locator('#runs a').first().click();
    await visitor.state('Needs Confirmation');
    await page.screenshot({ path: '/tmp/shots/run.png' });
    await visitor.press('Confirm & Apply');
    await visitor.state('Applied');
    await page.screenshot({ path: '/tmp/shots/applied.png' });
    expect(visitor.complaints).toEqual([]);
  });
});
