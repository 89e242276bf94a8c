import { once } from 'node:events';
import { type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http';
import type { World } from './world.js';

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
}

export interface Sent {
  method?: string;
  headers?: Record<string, string>;
  body?: string;
}

/** An event stream that is open. */
export interface OpenStream {
  status: number;
  /** What has arrived. */
  text: () => string;
  ended: Promise<void>;
  close(): void;
}

/** A person without a browser: cookies are kept, and everything else is sent as it is given. */
export class HttpVisitor {
  readonly cookies = new Map<string, string>();
  /** Of the session's forms. */
  csrf = '';

  constructor(readonly world: World) {}

  /** Somebody who has signed in. */
  static async signIn(world: World, login: string): Promise<HttpVisitor> {
    const visitor = new HttpVisitor(world);
    await visitor.signIn(login);
    return visitor;
  }

  /** Again: a new session, of which Signalbox remembers nothing that GitHub says. */
  async signIn(login: string, returnTo = '/'): Promise<Answer> {
    const answer = await this.get(await this.callback(login, returnTo));
    const { text } = await this.get('/');
    this.csrf = /name="csrf" value="([^"]+)"/.exec(text)?.[1] ?? '';
    return answer;
  }

  /** To GitHub and back: the path to which GitHub sends the browser, not followed. */
  async callback(login: string, returnTo = '/'): Promise<string> {
    const begun = await this.get(`/auth/login?return_to=${encodeURIComponent(returnTo)}`);
    const asked = new URL(begun.headers.location ?? '');
    const body = new URLSearchParams([...asked.searchParams, ['login', login], ['answer', 'authorize']]);
    const answer = await fetch(asked.origin + asked.pathname, { method: 'POST', body, redirect: 'manual' });
    const back = new URL(answer.headers.get('location') ?? '');
    return back.pathname + back.search;
  }

  get(path: string, headers: Record<string, string> = {}): Promise<Answer> {
    return this.send(path, { headers });
  }

  /** A form as the pages send it, with the session's token unless the fields have one. */
  post(path: string, fields: Record<string, string> | string = {}, headers: Record<string, string> = {}) {
    const body = typeof fields === 'string' ? fields : new URLSearchParams({ csrf: this.csrf, ...fields }).toString();
    const type = { 'content-type': 'application/x-www-form-urlencoded' };
    return this.send(path, { method: 'POST', body, headers: { ...type, ...headers } });
  }

  async send(path: string, sent: Sent = {}): Promise<Answer> {
    const answer = await this.#request(path, sent);
    answer.setEncoding('utf8');
    let text = '';
    for await (const piece of answer) text += piece;
    return { status: answer.statusCode ?? 0, headers: answer.headers, text };
  }

  async stream(path: string): Promise<OpenStream> {
    const answer = await this.#request(path, {});
    let text = '';
    answer.setEncoding('utf8').on('data', (piece: string) => {
      text += piece;
    });
    answer.on('error', () => undefined);
    const ended = once(answer, 'close').then(() => undefined);
    return { status: answer.statusCode ?? 0, text: () => text, ended, close: () => answer.destroy() };
  }

  #request(path: string, { method = 'GET', headers = {}, body }: Sent): Promise<IncomingMessage> {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) };
    return new Promise((resolve, reject) => {
      const { port } = this.world;
      const all = { ...(cookie !== '' && { cookie }), ...length, ...headers };
      request({ host: '127.0.0.1', port, path, method, headers: all, agent: false }, (answer) => {
        for (const line of answer.headers['set-cookie'] ?? []) this.#keep(line);
        resolve(answer);
      })
        .on('error', reject)
        .end(body);
    });
  }

  #keep(line: string): void {
    const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
    if (/; Max-Age=0/.test(line)) this.cookies.delete(name);
    else this.cookies.set(name, value);
  }
}
