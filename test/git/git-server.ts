import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const ENVIRONMENT = {
  PATH: process.env.PATH ?? '/usr/bin:/bin',
  HOME: '/nonexistent',
  LC_ALL: 'C',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_AUTHOR_NAME: 'Alice',
  GIT_AUTHOR_EMAIL: 'alice@example.com',
  GIT_COMMITTER_NAME: 'Alice',
  GIT_COMMITTER_EMAIL: 'alice@example.com',
};

/** What a commit is to have: text, a link to somewhere, or nothing any more. */
export type Contents = Record<string, string | { link: string } | undefined>;

/** git over HTTP as GitHub serves it, with one token, for the repositories in a directory of its own. */
export class GitServer {
  readonly token = `ghs_${Math.random().toString(36).slice(2)}${Math.random().toString(36).slice(2)}`;
  /** What the next requests are answered with instead; how often each was asked for. */
  trouble: { status?: number; hang?: boolean; cut?: boolean; delayMs?: number; movedTo?: string } = {};
  readonly requests: string[] = [];
  readonly #server: Server;
  readonly #root: string;

  private constructor(server: Server, root: string) {
    this.#server = server;
    this.#root = root;
  }

  static async start(): Promise<GitServer> {
    const root = mkdtempSync(join(tmpdir(), 'signalbox-git-'));
    const server = createServer((request, response) => void git.#serve(request, response));
    const git = new GitServer(server, root);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return git;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    rmSync(this.#root, { recursive: true, force: true });
  }

  create(owner: string, name: string): TestRepository {
    const bare = join(this.#root, owner, `${name}.git`);
    mkdirSync(bare, { recursive: true });
    git(bare, ['init', '--quiet', '--bare', '--initial-branch=main']);
    return new TestRepository(bare, join(this.#root, 'work', owner, name));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', this.url);
    this.requests.push(`${request.method} ${url.pathname}`);
    const { status, hang, cut, delayMs, movedTo } = this.trouble;
    if (hang) return;
    if (delayMs) await new Promise((resolve) => setTimeout(resolve, delayMs));
    if (cut) return void request.socket.destroy();
    if (movedTo && !url.pathname.startsWith(`/${movedTo}.git/`)) {
      const location = request.url?.replace(/^\/.+?\.git\//, `/${movedTo}.git/`);
      return void response.writeHead(301, { location }).end();
    }
    if (status) return void response.writeHead(status).end('trouble');
    const expected = `basic ${Buffer.from(`x-access-token:${this.token}`).toString('base64')}`;
    if (request.headers.authorization?.toLowerCase() !== expected.toLowerCase()) {
      return void response.writeHead(401, { 'www-authenticate': 'Basic realm="GitHub"' }).end();
    }
    const backend = spawn('git', ['http-backend'], {
      env: {
        ...ENVIRONMENT,
        GIT_PROJECT_ROOT: this.#root,
        GIT_HTTP_EXPORT_ALL: '1',
        PATH_INFO: url.pathname,
        QUERY_STRING: url.search.slice(1),
        REQUEST_METHOD: request.method ?? 'GET',
        CONTENT_TYPE: request.headers['content-type'] ?? '',
        HTTP_CONTENT_ENCODING: request.headers['content-encoding'] ?? '',
        GIT_PROTOCOL: String(request.headers['git-protocol'] ?? ''),
        REMOTE_ADDR: '127.0.0.1',
      },
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    backend.stdin.on('error', () => undefined);
    request.pipe(backend.stdin);
    const chunks: Buffer[] = [];
    for await (const chunk of backend.stdout) chunks.push(chunk as Buffer);
    const answer = Buffer.concat(chunks);
    const end = answer.indexOf('\r\n\r\n');
    let code = 200;
    for (const line of answer.subarray(0, end).toString().split('\r\n')) {
      const [name = '', value = ''] = line.split(/:\s*/, 2);
      if (name === 'Status') code = Number.parseInt(value, 10);
      else response.setHeader(name, value);
    }
    response.writeHead(code).end(answer.subarray(end + 4));
  }
}

/** A repository that a person commits to. */
export class TestRepository {
  constructor(
    readonly bare: string,
    private readonly work: string,
  ) {
    mkdirSync(work, { recursive: true });
    git(work, ['init', '--quiet', '--initial-branch=main']);
  }

  /** Commits on top of what is there and pushes it to main. Yields the SHA. */
  commit(contents: Contents, message = 'A change'): string {
    for (const [path, content] of Object.entries(contents)) {
      const place = join(this.work, path);
      rmSync(place, { recursive: true, force: true });
      mkdirSync(dirname(place), { recursive: true });
      if (typeof content === 'string') writeFileSync(place, content);
      else if (content) symlinkSync(content.link, place);
    }
    git(this.work, ['add', '--all']);
    git(this.work, ['commit', '--quiet', '--allow-empty', '-m', message]);
    return this.push();
  }

  /** Replaces everything by one commit without parents. */
  replaceHistory(contents: Contents): string {
    git(this.work, ['checkout', '--quiet', '--orphan', `other-${Date.now()}`]);
    git(this.work, ['rm', '-rfq', '--ignore-unmatch', '.']);
    return this.commit(contents);
  }

  /** A commit of a tree that no client would make. `lines` as `git mktree` takes them; `$name` stands for an object. */
  commitTree(lines: string, objects: Record<string, string> = {}): string {
    let text = lines;
    for (const [name, content] of Object.entries(objects)) {
      text = text.replaceAll(`$${name}`, git(this.bare, ['hash-object', '-w', '--stdin'], content));
    }
    return git(this.bare, ['commit-tree', '-m', 'odd', this.makeTree(text)]);
  }

  makeTree(text: string): string {
    return git(this.bare, ['mktree', '--missing'], text);
  }

  /** Removes what no branch reaches, as GitHub does some day. */
  prune(): void {
    git(this.bare, ['reflog', 'expire', '--expire=now', '--all']);
    git(this.bare, ['gc', '--quiet', '--prune=now']);
  }

  remove(): void {
    rmSync(this.bare, { recursive: true });
  }

  private push(): string {
    git(this.work, ['push', '--quiet', '--force', this.bare, 'HEAD:refs/heads/main']);
    return git(this.work, ['rev-parse', 'HEAD']);
  }
}

function git(cwd: string, args: string[], input = ''): string {
  return execFileSync('git', args, { cwd, env: ENVIRONMENT, input, stdio: ['pipe', 'pipe', 'pipe'] })
    .toString()
    .trim();
}
