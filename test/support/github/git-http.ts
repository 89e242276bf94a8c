import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Actor, authenticate, canSee, describeActor } from './actor.js';
import { gitEnvironment } from './git.js';
import { HttpError } from './http.js';
import type { LocalGitHub } from './local-github.js';
import { before } from './misbehave.js';
import { announce } from './pushes.js';
import { atLeast, type Repository } from './repository.js';

const PATH = /^\/([^/]+)\/([^/]+?)(?:\.git)?\/(info\/refs|git-upload-pack|git-receive-pack)$/;

export function isGitPath(path: string): boolean {
  return PATH.test(path);
}

/** Git's smart HTTP protocol, by `git http-backend` as a CGI program. */
export async function serveGit(
  github: LocalGitHub,
  request: IncomingMessage,
  response: ServerResponse,
  url: URL,
): Promise<void> {
  const [, owner = '', name = '', action = ''] = PATH.exec(url.pathname) ?? [];
  const service = action === 'info/refs' ? (url.searchParams.get('service') ?? '') : action;
  const log = github.log(request.method ?? '', `git ${service}`, url.pathname);
  try {
    const actor = authenticate(github, request.headers.authorization);
    log.actor = describeActor(actor);
    const repository = github.repositories.find(owner, name);
    authorize(actor, service, repository, `${owner}/${name}`);
    if (!repository) throw new HttpError(404, 'Repository not found.');
    const rule = github.git.misbehaviours.meet(service, url.pathname, actor, {});
    const verdict = await before(rule);
    const loses = rule?.how === 'lose-answer' || rule?.how === 'lose-answer-502';
    if (verdict === 'drop') request.socket.destroy();
    else if (service === 'git-receive-pack' && action !== 'info/refs')
      await receive(repository, actor, request, response, url, action, loses);
    else await runBackend(repository, actor, request, response, url, action, loses);
    log.status = response.headersSent ? response.statusCode : 0;
  } catch (error) {
    if (!(error instanceof HttpError)) throw error;
    log.status = error.status;
    if (response.headersSent) return void request.socket.destroy();
    const headers = { 'content-type': 'text/plain', ...error.headers };
    request.resume();
    response.writeHead(error.status, headers).end(`${error.message}\n`);
  }
}

function authorize(actor: Actor, service: string, repository: Repository | undefined, name: string): void {
  if (service !== 'git-upload-pack' && service !== 'git-receive-pack')
    throw new HttpError(403, 'Please upgrade your git client.');
  const writes = service === 'git-receive-pack';
  const challenge = { 'www-authenticate': 'Basic realm="GitHub"' };
  if (actor.kind === 'app') throw new HttpError(401, 'Bad credentials', {}, challenge);
  if (actor.kind === 'anonymous' && (writes || !repository || repository.private)) {
    throw new HttpError(401, 'Repository not found.', {}, challenge);
  }
  if (!repository || !canSee(actor, repository)) throw new HttpError(404, 'Repository not found.');
  if (actor.kind === 'installation') {
    const reads = !repository.private || actor.token.permits('contents:read');
    const allowed = writes ? actor.token.covers(repository) && actor.token.permits('contents:write') : reads;
    if (!allowed) throw new HttpError(403, `Write access to repository not granted.`);
  }
  if (actor.kind === 'user' && writes && !atLeast(repository.roleOf(actor.account.login), 'write')) {
    throw new HttpError(403, `Permission to ${name}.git denied to ${actor.account.login}.`);
  }
}

/** A push: nobody else moves branches meanwhile, and its answer ends when its events are on their way. */
function receive(
  repository: Repository,
  actor: Actor,
  request: IncomingMessage,
  response: ServerResponse,
  url: URL,
  action: string,
  loses: boolean,
): Promise<void> {
  return repository.exclusively(async () => {
    const refs = await repository.refs();
    await runBackend(repository, actor, request, response, url, action, loses, async () => {
      const account = actor.kind === 'user' || actor.kind === 'installation' ? actor.account : repository.owner;
      await announce(repository, account, refs);
    });
  });
}

async function runBackend(
  repository: Repository,
  actor: Actor,
  request: IncomingMessage,
  response: ServerResponse,
  url: URL,
  action: string,
  loses: boolean,
  atEnd?: () => Promise<void>,
): Promise<void> {
  const { headers } = request;
  const child = spawn('git', ['http-backend'], {
    env: {
      ...gitEnvironment,
      GIT_PROJECT_ROOT: repository.directory,
      GIT_HTTP_EXPORT_ALL: '1',
      PATH_INFO: `/${action}`,
      QUERY_STRING: url.search.slice(1),
      REQUEST_METHOD: request.method ?? 'GET',
      CONTENT_TYPE: headers['content-type'] ?? '',
      ...(headers['content-length'] ? { CONTENT_LENGTH: headers['content-length'] } : {}),
      ...(headers['content-encoding'] ? { HTTP_CONTENT_ENCODING: headers['content-encoding'] } : {}),
      ...(typeof headers['git-protocol'] === 'string' ? { GIT_PROTOCOL: headers['git-protocol'] } : {}),
      REMOTE_USER: describeActor(actor),
      REMOTE_ADDR: '127.0.0.1',
    },
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  child.stdin.on('error', () => {}); // the backend may refuse before it has read everything
  response.on('close', () => child.stdin.destroy());
  request.pipe(child.stdin);
  const closed = once(child, 'close');
  let head: Buffer | undefined = Buffer.alloc(0);
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
    if (loses || response.destroyed) continue;
    if (!head) {
      response.write(chunk);
      continue;
    }
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf('\r\n\r\n');
    if (end < 0) continue;
    writeHead(response, head.subarray(0, end).toString());
    response.write(head.subarray(end + 4));
    head = undefined;
  }
  await closed;
  await atEnd?.();
  if (loses) request.socket.destroy();
  else response.end();
}

function writeHead(response: ServerResponse, text: string): void {
  let status = 200;
  for (const line of text.split('\r\n')) {
    const [name = '', ...rest] = line.split(':');
    const value = rest.join(':').trim();
    if (name.toLowerCase() === 'status') status = Number.parseInt(value, 10);
    else response.setHeader(name, value);
  }
  response.writeHead(status);
}
