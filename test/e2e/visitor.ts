import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright-core';
import type { Repository } from '../support/github/index.js';
import type { World } from './world.js';

/** A person in front of a browser. */
export class Visitor {
  /** What the page's scripts and its content security policy complained of. */
  readonly complaints: string[] = [];

  private constructor(
    readonly world: World,
    readonly login: string,
    readonly context: BrowserContext,
    readonly page: Page,
  ) {
    page.on('pageerror', (error) => this.complaints.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error') this.complaints.push(`${message.text()} ${message.location().url}`);
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

  async close(): Promise<void> {
    await this.context.close();
  }
}
