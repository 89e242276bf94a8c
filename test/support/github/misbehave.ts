import { type Actor, isByApp } from './actor.js';
import { HttpError } from './http.js';

export type How =
  /** Answers so in place of doing anything. */
  | { status: number; message?: string; headers?: Record<string, string> }
  /** Does it, so many milliseconds late. */
  | { delay: number }
  /** Never answers, and does nothing. */
  | 'hang'
  /** Does it, then cuts the connection. */
  | 'lose-answer'
  /** Does it, then answers 502. */
  | 'lose-answer-502'
  /** 403 with `retry-after: 1`. */
  | 'secondary-rate-limit'
  /** 403 with `x-ratelimit-remaining: 0`, and a reset one second from now. */
  | 'primary-rate-limit';

export interface Misbehaviour {
  /** `POST /repos/{owner}/{repo}/check-runs`, or a pattern for the method and the path; of git: `git-upload-pack`. */
  route?: string | RegExp;
  /** How often; default: until stopped. */
  times?: number;
  how: How;
  /** Default `app`: people's own requests are answered as usual, those by an App in their name are not. */
  by?: 'app' | 'anyone';
  /** Only requests whose parsed body satisfies this. */
  when?: (body: Record<string, unknown>) => boolean;
}

export interface MisbehaviourHandle {
  stop(): void;
  /** How many requests have met it. */
  readonly met: number;
}

interface Rule extends Misbehaviour {
  left: number;
  met: number;
  release: Set<() => void>;
}

export class Misbehaviours {
  readonly #rules: Rule[] = [];

  add(misbehaviour: Misbehaviour): MisbehaviourHandle {
    const rule: Rule = {
      ...misbehaviour,
      left: misbehaviour.times ?? Number.POSITIVE_INFINITY,
      met: 0,
      release: new Set(),
    };
    this.#rules.push(rule);
    return {
      stop: () => {
        rule.left = 0;
        for (const release of rule.release) release();
      },
      get met() {
        return rule.met;
      },
    };
  }

  /** What a request meets, if anything; counted. */
  meet(route: string, path: string, actor: Actor, body: Record<string, unknown>): Rule | undefined {
    const rule = this.#rules.find((each) => each.left > 0 && matches(each, route, path, actor, body));
    if (rule) {
      rule.left -= 1;
      rule.met += 1;
    }
    return rule;
  }

  stop(): void {
    for (const rule of this.#rules) {
      rule.left = 0;
      for (const release of rule.release) release();
    }
  }
}

/** Before the request is acted upon. `drop` is asked to cut the connection once a hang has ended. */
export async function before(rule: Rule | undefined): Promise<'go-on' | 'drop'> {
  if (!rule) return 'go-on';
  const { how } = rule;
  if (how === 'hang') {
    await new Promise<void>((resolve) => rule.release.add(resolve));
    return 'drop';
  }
  if (how === 'secondary-rate-limit') {
    const message = 'You have exceeded a secondary rate limit. Please wait a few minutes before you try again.';
    throw new HttpError(403, message, {}, { 'retry-after': '1' });
  }
  if (how === 'primary-rate-limit') {
    const reset = String(Math.floor(Date.now() / 1000) + 1);
    throw new HttpError(
      403,
      'API rate limit exceeded for installation.',
      {},
      { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': reset },
    );
  }
  if (typeof how === 'object' && 'status' in how)
    throw new HttpError(how.status, how.message ?? 'Server Error', {}, how.headers);
  if (typeof how === 'object') {
    const milliseconds = how.delay;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      rule.release.add(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
  return 'go-on';
}

function matches(rule: Rule, route: string, path: string, actor: Actor, body: Record<string, unknown>): boolean {
  if ((rule.by ?? 'app') === 'app' && !isByApp(actor)) return false;
  if (rule.when && !rule.when(body)) return false;
  if (rule.route === undefined) return true;
  if (typeof rule.route === 'string') return rule.route === route;
  return rule.route.test(`${route.split(' ')[0]} ${path}`) || rule.route.test(route);
}
