import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Actor, authenticate, authorize, describeActor, isByApp } from './actor.js';
import { Call, HttpError, type Json, notFound, type Reply, Router } from './http.js';
import type { LocalGitHub, LoggedRequest } from './local-github.js';
import { before } from './misbehave.js';
import { OpenApi } from './openapi.js';
import { routes } from './routes/index.js';

const router = new Router(routes);

/** Loaded once for all servers of a process: compiling its schemas takes a while. */
let openApi: OpenApi | undefined;

/** Everything under `/api`: REST at `/api/v3`, GraphQL at `/api/graphql`. */
export class Rest {
  /** Requests by each actor, for the rate limit's headers. The limit itself isn't enforced. */
  readonly #made = new Map<string, number>();

  constructor(private readonly github: LocalGitHub) {}

  async serve(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    const method = request.method ?? 'GET';
    const path = this.#path(url.pathname);
    const found = path === undefined ? undefined : router.find(method, path);
    const route = found ? `${method} ${found.route.template}` : `${method} ${path ?? url.pathname}`;
    const log = this.github.log(method, route, url.pathname);
    let drop = false;
    let reply: Reply;
    let actor: Actor = { kind: 'anonymous' };
    try {
      const body = parse(await read(request));
      log.body = body ?? {};
      actor = authenticate(this.github, request.headers.authorization);
      log.actor = describeActor(actor);
      const rule = this.github.misbehaviours.meet(route, url.pathname, actor, log.body);
      if ((await before(rule)) === 'drop') return void request.socket.destroy();
      if (path !== undefined) this.#validate(actor, log, url, body);
      if (!found) throw notFound();
      reply = await this.#call(found, log, request, url, actor);
      this.#validateOwn(log, reply, request);
      drop = rule?.how === 'lose-answer';
      if (rule?.how === 'lose-answer-502') reply = new HttpError(502, 'Server Error').reply();
    } catch (error) {
      if (!(error instanceof HttpError)) throw error;
      reply = error.reply();
    }
    if (drop) return void request.socket.destroy();
    log.status = reply.status;
    answer(response, reply, this.#rateLimit(actor));
  }

  /** The path as in GitHub's description. */
  #path(pathname: string): string | undefined {
    if (pathname === '/api/graphql') return '/graphql';
    const path = /^\/api\/v3(\/.*)$/.exec(pathname)?.[1];
    const [, id, rest] = /^\/repositories\/(\d+)(.*)$/.exec(path ?? '') ?? [];
    const repository = id ? this.github.repositories.byId(Number(id)) : undefined;
    return repository ? `/repos/${repository.fullName}${rest}` : path;
  }

  async #call(
    { route, params }: NonNullable<ReturnType<Router['find']>>,
    log: LoggedRequest,
    request: IncomingMessage,
    url: URL,
    actor: Actor,
  ): Promise<Reply> {
    const { owner, repo } = params;
    const named = owner !== undefined && repo !== undefined;
    const repository = named ? this.github.repositories.find(owner, repo) : undefined;
    if (named && !repository && route.access.as !== 'app') throw notFound();
    authorize(actor, route.access, repository);
    const asked = `${owner}/${repo}`.toLowerCase();
    if (repository && repository.fullName.toLowerCase() !== asked) {
      const rest = url.pathname.split('/').slice(6).join('/');
      const location = `${this.github.api}/repositories/${repository.id}${rest ? `/${rest}` : ''}${url.search}`;
      const message = 'Moved Permanently';
      return { status: request.method === 'GET' ? 301 : 307, body: { message, url: location }, headers: { location } };
    }
    const template = route.template;
    const call = new Call(
      this.github,
      route.method,
      template,
      params,
      url.searchParams,
      request.headers,
      log.body,
      actor,
      repository,
    );
    return route.handle(call);
  }

  #validate(actor: Actor, log: LoggedRequest, url: URL, body: Json | undefined): void {
    if (!isByApp(actor)) return;
    if (log.route === 'POST /graphql') return;
    openApi ??= new OpenApi();
    const errors = openApi.request(log.route, url.searchParams, body);
    if (errors.length > 0) this.github.violations.push({ request: `${log.method} ${log.path}`, errors });
  }

  #validateOwn(log: LoggedRequest, reply: Reply, request: IncomingMessage): void {
    if (
      !this.github.options.validateAnswers ||
      request.headers.accept?.includes('raw') ||
      log.route === 'POST /graphql'
    )
      return;
    openApi ??= new OpenApi();
    const plain = reply.body === undefined ? undefined : JSON.parse(stringify(reply.body));
    const errors = openApi.response(log.route, reply.status, plain);
    if (errors.length > 0) this.github.ownViolations.push({ request: `${log.method} ${log.path}`, errors });
  }

  #rateLimit(actor: Actor): Record<string, string> {
    const who = describeActor(actor);
    const hour = 3_600_000;
    const start = Math.floor(Date.now() / hour) * hour;
    const limit = actor.kind === 'anonymous' ? 60 : (this.github.options.requestsPerHour ?? 100_000);
    const made = (this.#made.get(who) ?? 0) + 1;
    this.#made.set(who, made);
    const used = Math.min(made, limit - 1);
    return {
      'x-ratelimit-limit': String(limit),
      'x-ratelimit-remaining': String(limit - used),
      'x-ratelimit-used': String(used),
      'x-ratelimit-reset': String((start + hour) / 1000),
      'x-ratelimit-resource': 'core',
    };
  }
}

async function read(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

function parse(text: string): Json | undefined {
  if (text === '') return undefined;
  try {
    const value: unknown = JSON.parse(text);
    if (value !== null && typeof value === 'object' && !Array.isArray(value)) return value as Json;
  } catch {
    // answered below
  }
  throw new HttpError(400, 'Problems parsing JSON');
}

/** JSON in which a bigint is a plain number, as GitHub's ids beyond 2^53 are. */
function stringify(value: unknown): string {
  const text = JSON.stringify(value, (_, each: unknown) => (typeof each === 'bigint' ? `\u0001${each}\u0001` : each));
  return text.replace(/"\\u0001(\d+)\\u0001"/g, '$1');
}

function answer(response: ServerResponse, reply: Reply, limits: Record<string, string>): void {
  const headers = {
    'x-github-media-type': 'github.v3; format=json',
    'x-github-request-id': crypto.randomUUID(),
    ...limits,
    ...reply.headers,
  };
  if (reply.body === undefined) {
    response.writeHead(reply.status, headers).end();
    return;
  }
  const raw = typeof reply.body === 'string' || Buffer.isBuffer(reply.body);
  const body = raw ? (reply.body as string | Buffer) : stringify(reply.body);
  response.writeHead(reply.status, { 'content-type': 'application/json; charset=utf-8', ...headers }).end(body);
}
