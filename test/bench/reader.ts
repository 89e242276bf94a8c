import { Agent, get, type IncomingMessage } from 'node:http';

/** Somebody who is signed in and reads pages, over one connection that is kept. */
export class Reader {
  readonly #url: string;
  readonly #cookie: string;
  readonly #agent = new Agent({ keepAlive: true });

  private constructor(url: string, cookie: string) {
    this.#url = url;
    this.#cookie = cookie;
  }

  /** By way of the local GitHub, which has been told who signs in (`signInAs`). */
  static async signIn(url: string): Promise<Reader> {
    const begun = await fetch(`${url}/auth/login`, { redirect: 'manual' });
    const asked = await fetch(begun.headers.get('location') ?? '', { redirect: 'manual' });
    const finished = await fetch(asked.headers.get('location') ?? '', {
      redirect: 'manual',
      headers: { cookie: cookiesOf(begun) },
    });
    const cookie = cookiesOf(finished);
    if (finished.status !== 303) throw new Error(`Nobody could sign in: ${finished.status} ${await finished.text()}`);
    return new Reader(url, cookie);
  }

  /** How long the whole answer took, in ms. */
  async read(path: string): Promise<number> {
    const begun = performance.now();
    const answer = await this.#get(path, this.#agent);
    for await (const _ of answer);
    if (answer.statusCode !== 200) throw new Error(`${path} was answered with ${answer.statusCode}.`);
    return performance.now() - begun;
  }

  /** Watches a run: `onText` gets what comes, as it came. Resolves when the stream is there; the result ends it. */
  async watch(run: string, onText: (text: string) => void): Promise<() => void> {
    const answer = await this.#get(`/runs/${run}/events`);
    if (answer.statusCode !== 200) throw new Error(`Events were answered with ${answer.statusCode}.`);
    answer.on('error', () => undefined);
    answer.setEncoding('utf8').on('data', onText);
    return () => void answer.destroy();
  }

  close(): void {
    this.#agent.destroy();
  }

  #get(path: string, agent?: Agent): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const headers = { cookie: this.#cookie };
      get(`${this.#url}${path}`, { headers, agent: agent ?? false }, resolve).on('error', reject);
    });
  }
}

function cookiesOf(answer: Response): string {
  return answer.headers
    .getSetCookie()
    .filter((line) => !/; Max-Age=0/i.test(line))
    .map((line) => line.split(';')[0])
    .join('; ');
}
