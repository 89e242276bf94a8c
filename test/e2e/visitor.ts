import { expect } from '@jest/globals';
import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright-core';
import { stripColour } from '../../src/terraform/colour.js';
import type { Repository } from '../support/github/index.js';
import type { World } from './world.js';

/** A person in front of a browser. */
export class Visitor {
  /** What the page's scripts and its content security policy complained of. */
  readonly complaints: string[] = [];
  /** How many pages were loaded: the same number as before means that nothing was. */
  loads = 0;

  private constructor(
    readonly world: World,
    readonly login: string,
    readonly context: BrowserContext,
    readonly page: Page,
  ) {
    page.on('framenavigated', () => {
      this.loads += 1;
    });
    page.on('pageerror', (error) => this.complaints.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error') this.complaints.push(message.text());
    });
  }

  /** A new browser window in which this person has signed in, and sees the list of workspaces. */
  static async signIn(
    world: World,
    browser: Browser,
    login: string,
    options: BrowserContextOptions = {},
  ): Promise<Visitor> {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
    context.setDefaultTimeout(40_000);
    const visitor = new Visitor(world, login, context, await context.newPage());
    const { page } = visitor;
    await page.goto(`${world.url}/`);
    await page.getByRole('link', { name: 'Sign in with GitHub' }).click();
    await page.getByLabel('Username').fill(login);
    await page.getByRole('button', { name: /^Authorize/ }).click();
    await page.getByRole('heading', { name: 'Workspaces' }).waitFor();
    visitor.complaints.length = 0;
    return visitor;
  }

  /** By its path. */
  async goto(path: string): Promise<number> {
    const answer = await this.page.goto(`${this.world.url}${path}`);
    return answer?.status() ?? 0;
  }

  async openWorkspace(repository: Repository, workspace: string): Promise<number> {
    return this.goto(`/${repository.fullName}/workspaces/${workspace}`);
  }

  /** Waits until the run page says that the run is in this state: 'Needs Confirmation'. */
  async state(title: string, timeout = 40_000): Promise<void> {
    await this.page.getByRole('status').filter({ hasText: title }).first().waitFor({ timeout });
  }

  /** Presses a button by its whole name. */
  async press(name: string): Promise<void> {
    await this.page.getByRole('button', { name, exact: true }).click();
  }

  /** The page of the workspace's newest run of this title, as soon as there is one. */
  async openNewestRun(repository: Repository, workspace: string, title: string): Promise<void> {
    const link = this.page.locator('#runs').getByRole('link', { name: title }).first();
    await this.world.until(repository, `a run '${title}' of ${workspace}`, async () => {
      await this.openWorkspace(repository, workspace);
      return (await link.count()) > 0;
    });
    await link.click();
    await this.page.getByRole('region', { name: 'Timeline' }).waitFor();
  }

  /** For a page that doesn't change by itself. */
  async reloadUntil(title: string): Promise<void> {
    await this.world.github.until(title, async () => {
      await this.page.reload();
      return (await this.page.getByRole('status').innerText()).includes(title);
    });
  }

  /** The same page once more, in a tab beside this one. */
  async anotherPage(): Promise<Visitor> {
    const visitor = new Visitor(this.world, this.login, this.context, await this.context.newPage());
    await visitor.page.goto(this.page.url());
    return visitor;
  }

  /** The names of the buttons that can be pressed at the bottom of a run's page. */
  buttons(): Promise<string[]> {
    const controls = this.page.getByRole('region', { name: 'Controls' });
    return controls.getByRole('button').filter({ visible: true }).allInnerTexts();
  }

  timeline(): Promise<string> {
    return this.page.getByRole('region', { name: 'Timeline' }).innerText();
  }

  /** What the run's page says, part by part, folded or not; times as the record has them. */
  contents(): Promise<Record<string, string | undefined>> {
    return this.page.evaluate(() => {
      const text = (selector: string) => {
        const part = document.querySelector(selector)?.cloneNode(true) as Element | undefined;
        for (const time of part?.querySelectorAll('time') ?? []) time.textContent = time.dateTime;
        return part?.textContent;
      };
      const parts = ['status', 'facts', 'progress', 'diagnostics', 'plan', 'timeline', 'controls'];
      return {
        ...Object.fromEntries(parts.map((id) => [id, text(`#${id}`)])),
        planOutput: text('[role=log][data-stage=plan]'),
        apply: text('[role=log][data-stage=apply]'),
        title: document.title,
      };
    });
  }

  /** The run's outputs are on the page and in the files what the record says that Terraform printed. */
  async outputsAreThoseOnRecord(): Promise<void> {
    const id = new URL(this.page.url()).pathname.split('/').at(-1);
    for (const stage of ['plan', 'apply'] as const) {
      const [row] = await this.world.query<{ text: string | null }>(
        `select string_agg(text, '' order by sequence) as text from outputs where run_id = $1 and stage = $2
          and attempt = (select max(attempt) from outputs where run_id = $1 and stage = $2)`,
        [id, stage],
      );
      const wanted = stripColour(row?.text ?? '');
      expect(wanted).not.toBe('');
      expect(await this.page.locator(`[role=log][data-stage=${stage}]`).textContent()).toBe(wanted);
      const file = await this.context.request.get(`${this.world.url}/runs/${id}/${stage}.txt`);
      expect(await file.text()).toBe(wanted);
    }
  }

  /** Presses Tab until the focus is on what has this name. */
  async tabTo(name: string): Promise<void> {
    for (let presses = 0; presses < 200; presses++) {
      await this.page.keyboard.press('Tab');
      const focused = await this.page.evaluate(() => {
        const element = document.activeElement as HTMLInputElement | null;
        return element?.ariaLabel ?? element?.labels?.[0]?.textContent ?? element?.textContent?.trim();
      });
      if (focused === name) return;
    }
    throw new Error(`'${name}' can't be reached by keyboard.`);
  }

  async close(): Promise<void> {
    await this.context.close();
  }
}
