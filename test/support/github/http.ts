import type { IncomingHttpHeaders } from 'node:http';
import type { Actor } from './actor.js';
import type { LocalGitHub } from './local-github.js';
import type { Repository, Role } from './repository.js';

export type Json = Record<string, unknown>;

export interface Reply {
  status: number;
  body?: unknown;
  headers?: Record<string, string>;
}

/** An answer that ends a request early, in the shape of GitHub's errors. */
export class HttpError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly extra: Json = {},
    readonly headers: Record<string, string> = {},
  ) {
    super(message);
    this.name = 'HttpError';
  }

  reply(): Reply {
    const body = {
      message: this.message,
      ...this.extra,
      documentation_url: 'https://docs.github.com/rest',
      status: String(this.status),
    };
    return { status: this.status, body, headers: this.headers };
  }
}

export const notFound = () => new HttpError(404, 'Not Found');

export function invalid(resource: string, field: string, code: string, message?: string): HttpError {
  const error = { resource, field, code, ...(message ? { message } : {}) };
  return new HttpError(422, message ? `Validation Failed: ${message}` : 'Validation Failed', { errors: [error] });
}

/** Who may call a route. `needs` are the App's permissions, one of which is enough; `role` is what a person needs. */
export interface Access {
  as?: 'app' | 'client' | 'installation' | 'anyone';
  needs?: readonly `${string}:${'read' | 'write'}`[];
  role?: Role;
}

export class Call {
  constructor(
    readonly github: LocalGitHub,
    readonly method: string,
    readonly route: string,
    readonly params: Record<string, string>,
    readonly query: URLSearchParams,
    readonly headers: IncomingHttpHeaders,
    readonly body: Json,
    readonly actor: Actor,
    private readonly repository: Repository | undefined,
  ) {}

  /** The repository named in the path, which the caller may see. */
  get repo(): Repository {
    if (!this.repository) throw notFound();
    return this.repository;
  }

  param(name: string): string {
    return this.params[name] ?? '';
  }

  number(name: string): number {
    const value = Number(this.params[name]);
    if (!Number.isSafeInteger(value)) throw notFound();
    return value;
  }

  text(name: string): string | undefined {
    const value = this.body[name];
    return typeof value === 'string' ? value : undefined;
  }

  /** A page of the items, with the Link header that leads to the others. */
  page<T>(items: readonly T[], show: (shown: T[]) => unknown): Reply {
    const perPage = Math.min(Math.max(Number(this.query.get('per_page') ?? 30) || 30, 1), 100);
    const page = Math.max(Number(this.query.get('page') ?? 1) || 1, 1);
    const last = Math.max(Math.ceil(items.length / perPage), 1);
    const links: string[] = [];
    const link = (to: number, rel: string) => {
      const query = new URLSearchParams(this.query);
      query.set('page', String(to));
      links.push(`<${this.url}?${query}>; rel="${rel}"`);
    };
    if (page > 1) link(page - 1, 'prev');
    if (page < last) link(page + 1, 'next');
    if (page < last) link(last, 'last');
    if (page > 1) link(1, 'first');
    const shown = items.slice((page - 1) * perPage, page * perPage);
    return { status: 200, body: show(shown), ...(links.length ? { headers: { link: links.join(', ') } } : {}) };
  }

  private get url(): string {
    const path = this.route.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(this.param(name)));
    return `${this.github.api}${path}`;
  }
}

export type Handler = (call: Call) => Reply | Promise<Reply>;

export interface Route {
  method: string;
  /** As in GitHub's OpenAPI description: `/repos/{owner}/{repo}/pulls/{pull_number}`. */
  template: string;
  access: Access;
  handle: Handler;
}

/** A route named as GitHub's documentation names it: `GET /repos/{owner}/{repo}`. */
export function route(name: `${string} /${string}`, access: Access, handle: Handler): Route {
  const [method = '', template = ''] = name.split(' ');
  return { method, template, access, handle };
}

/** Parameters that may contain slashes. */
const WIDE = new Set(['path', 'ref', 'basehead', 'branch']);

export class Router {
  readonly #routes: { route: Route; pattern: RegExp; names: string[] }[];

  constructor(routes: readonly Route[]) {
    this.#routes = routes.map((each) => {
      const names: string[] = [];
      const pattern = each.template.replace(/\{(\w+)\}/g, (_, name: string) => {
        names.push(name);
        return WIDE.has(name) ? (name === 'path' ? '(.*)' : '(.+)') : '([^/]+)';
      });
      return { route: each, pattern: new RegExp(`^${pattern}$`), names };
    });
  }

  find(method: string, path: string): { route: Route; params: Record<string, string> } | undefined {
    for (const { route: candidate, pattern, names } of this.#routes) {
      if (candidate.method !== method) continue;
      const match = pattern.exec(path);
      if (!match) continue;
      try {
        const params = names.map((name, index) => [name, decodeURIComponent(match[index + 1] ?? '')]);
        return { route: candidate, params: Object.fromEntries(params) };
      } catch {
        return undefined; // malformed percent-encoding
      }
    }
    return undefined;
  }
}
