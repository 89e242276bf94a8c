import { mkdtemp } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getRequestListener } from '@hono/node-server';
import type { Hono } from 'hono';
import { pino } from 'pino';
import { createDb, createPool, type Db } from '../../src/db/pool.js';
import type { Session } from '../../src/signin/session.js';
import { SignIn, type SignInOptions } from '../../src/signin/sign-in.js';
import { Encryption } from '../../src/variables/encryption.js';
import { FormTooLarge } from '../../src/web/forgery.js';
import { authRoutes } from '../../src/web/routes/auth.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { LocalGitHub, type Repository } from '../support/github/index.js';
import { Browser } from './browser.js';

/** How long GitHub's answers count, and are waited for, in ms: short, so that tests see them end. */
export const MEMORY = 400;
export const PATIENCE = 3_000;

/**
 * Sign-in over HTTP, with a database of its own and the local GitHub: root owns acme, alice writes to acme/infra, bob
 * reads it, mallory sees nothing.
 */
export class SignInWorld {
  /** Everything that was logged, and every page that was shown. */
  readonly said: string[] = [];
  github!: LocalGitHub;
  repository!: Repository;
  db!: Db;
  signIn!: SignIn;
  url = '';
  readonly encryption = new Encryption(Buffer.alloc(32, 7));
  #database!: TestDatabase;
  readonly #server: Server = createServer();

  static async open(): Promise<SignInWorld> {
    const world = new SignInWorld();
    const directory = await mkdtemp(join(tmpdir(), 'signalbox-sign-in-'));
    const github = await LocalGitHub.start({ directory, removeOnClose: true, validateAnswers: true });
    for (const login of ['root', 'alice', 'bob', 'mallory']) await github.createUser(login);
    await github.createOrganization('acme', { owners: ['root'] });
    const repository = await github.createRepository({ owner: 'acme', name: 'infra', private: true });
    await repository.setPermission('alice', 'write');
    await repository.setPermission('bob', 'read');
    const database = await createTestDatabase();
    const db = createDb(createPool({ connectionString: database.url, max: 10, onError: () => undefined }));
    await new Promise<void>((resolve) => world.#server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(world.#server.address() as AddressInfo).port}`;
    github.app.callbackUrls = [`${url}/auth/callback`];
    Object.assign(world, { github, repository, db, url });
    world.#database = database;
    world.signIn = world.process();
    world.#server.on('request', getRequestListener(world.routes().fetch));
    return world;
  }

  /** Signing in as one more process has it. */
  process(options: Partial<SignInOptions> = {}): SignIn {
    const { github, db, encryption, url } = this;
    const log = pino({ level: 'trace' }, { write: (line: string) => void this.said.push(line) });
    return new SignIn({
      ...{ db, encryption, log, publicUrl: url, memory: MEMORY, patience: PATIENCE },
      client: { id: github.app.clientId, secret: github.app.clientSecret },
      config: { githubUrl: github.url, githubApiUrl: github.api },
      ...options,
    });
  }

  routes(signIn: SignIn = this.signIn): Hono {
    const routes = authRoutes({
      signIn,
      publicUrl: this.url,
      problemPage: (c, { status, title, text }) => {
        this.said.push(text);
        return c.text(`${title}: ${text}`, status);
      },
    });
    routes.onError((error, c) => {
      if (error instanceof FormTooLarge) return c.text('The form is too large.', 413);
      throw error;
    });
    return routes;
  }

  browser(): Browser {
    return new Browser(this.url);
  }

  /** A browser in which somebody is signed in, and their session. */
  async signedIn(login: string): Promise<{ browser: Browser; session: Session }> {
    this.github.signInAs(login);
    const browser = this.browser();
    await browser.signIn();
    const session = await this.signIn.sessionOf(browser.header);
    if (!session) throw new Error(`${login} could not sign in`);
    return { browser, session };
  }

  known(repository: Repository = this.repository) {
    return { id: repository.id, owner: repository.owner.login, name: repository.name };
  }

  /** How often the App has asked this of GitHub. */
  asked(route: string): number {
    return this.github.requests.filter((request) => request.route === route).length;
  }

  async close(): Promise<void> {
    await new Promise((resolve) => {
      this.#server.close(resolve);
      this.#server.closeAllConnections();
    });
    await this.db.destroy();
    await this.#database.drop();
    await this.github.close();
  }
}
