import { parse, serialize } from 'hono/utils/cookie';

const LOOPBACK = /^(localhost|.+\.localhost|127(\.\d+){3}|\[::1\])$/;

/** Whether a host's name is one of this machine's own. */
export function isLoopback(hostname: string): boolean {
  return LOOPBACK.test(hostname);
}

/** Cookies of ours. Without `Secure` only where Signalbox is tried out: over http, on loopback. */
export class Cookies {
  readonly #secure: boolean;

  constructor(publicUrl: string) {
    const { protocol, hostname } = new URL(publicUrl);
    this.#secure = protocol !== 'http:' || !isLoopback(hostname);
  }

  read(header: string | undefined, name: string): string | undefined {
    return header === undefined ? undefined : parse(header, this.#full(name))[this.#full(name)];
  }

  /** Names, as `read` takes them, that begin so. */
  names(header: string | undefined, prefix: string): string[] {
    const full = this.#full(prefix);
    const names = Object.keys(parse(header ?? '')).filter((name) => name.startsWith(full));
    return names.map((name) => prefix + name.slice(full.length));
  }

  /** A `Set-Cookie`. */
  set(name: string, value: string, seconds: number): string {
    const where = { path: '/', httpOnly: true, sameSite: 'Lax', secure: this.#secure } as const;
    return serialize(this.#full(name), value, { ...where, maxAge: seconds });
  }

  clear(name: string): string {
    return this.set(name, '', 0);
  }

  /** `__Host-`: neither another host of the domain nor anybody on http can set it. */
  #full(name: string): string {
    return this.#secure ? `__Host-${name}` : name;
  }
}
