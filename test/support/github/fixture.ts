import { createSign } from 'node:crypto';
import { mkdtemp } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Octokit } from '@octokit/rest';
import { LocalGitHub, type LocalGitHubOptions, type Permissions, type Repository } from './index.js';

export interface Received {
  event: string;
  guid: string;
  signature: string;
  body: string;
  // biome-ignore lint/suspicious/noExplicitAny: payloads are looked into by tests
  payload: any;
}

/** A server that keeps what it is sent, as an App would receive it. */
export class Receiver {
  readonly received: Received[] = [];
  status = 202;

  private constructor(private readonly server: Server) {}

  static async start(): Promise<Receiver> {
    const server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const body = Buffer.concat(chunks).toString();
        receiver.received.push({
          event: String(request.headers['x-github-event']),
          guid: String(request.headers['x-github-delivery']),
          signature: String(request.headers['x-hub-signature-256']),
          body,
          payload: JSON.parse(body),
        });
        response.writeHead(receiver.status).end('ok');
      });
    });
    const receiver = new Receiver(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/`;
  }

  /** Payloads of one event (and action), oldest first. */
  // biome-ignore lint/suspicious/noExplicitAny: payloads are looked into by tests
  payloads(event: string, action?: string): any[] {
    return this.received
      .filter((each) => each.event === event && (action === undefined || each.payload.action === action))
      .map((each) => each.payload);
  }

  /** `push`, `pull_request.opened`: in the order in which they came. */
  get names(): string[] {
    return this.received.map(({ event, payload }) => (payload.action ? `${event}.${payload.action}` : event));
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

export interface Fixture {
  github: LocalGitHub;
  receiver: Receiver;
  repo: Repository;
  close(): Promise<void>;
}

export const SECRET = 'it is a secret';

/** acme/infra, private; root owns acme, alice writes, bob reads, mallory has nothing. */
export async function startFixture(app: LocalGitHubOptions['app'] = {}): Promise<Fixture> {
  const receiver = await Receiver.start();
  const directory = await mkdtemp(join(tmpdir(), 'local-github-'));
  const webhook = { url: receiver.url, secret: SECRET };
  const github = await LocalGitHub.start({ directory, removeOnClose: true, validateAnswers: true, webhook, app });
  for (const login of ['root', 'alice', 'bob', 'mallory']) await github.createUser(login);
  await github.createOrganization('acme', { owners: ['root'], teams: { owners: ['alice'] } });
  const repo = await github.createRepository({ owner: 'acme', name: 'infra', private: true });
  await repo.setPermission('alice', 'write');
  await repo.setPermission('bob', 'read');
  const close = async () => {
    await github.close();
    await receiver.close();
  };
  return { github, receiver, repo, close };
}

/** The App's JSON web token. */
export function jwt(github: LocalGitHub, claims: Record<string, unknown> = {}): string {
  const now = Math.floor(Date.now() / 1000);
  const segment = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const text = `${segment({ alg: 'RS256', typ: 'JWT' })}.${segment({ iat: now - 30, exp: now + 500, iss: github.app.id, ...claims })}`;
  return `${text}.${createSign('RSA-SHA256').update(text).sign(github.app.privateKey, 'base64url')}`;
}

export function client(github: LocalGitHub, token: string): Octokit {
  const quiet = () => {};
  return new Octokit({
    baseUrl: github.api,
    auth: token,
    log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
  });
}

export function asApp(github: LocalGitHub): Octokit {
  return client(github, jwt(github));
}

export async function installationToken(
  github: LocalGitHub,
  owner: string,
  narrow: { permissions?: Permissions; repositories?: string[] } = {},
): Promise<string> {
  const { data } = await asApp(github).rest.apps.createInstallationAccessToken({
    installation_id: github.installationOf(owner).id,
    ...(narrow as object),
  });
  return data.token;
}
