/** One browser as far as signing in needs it: cookies of Signalbox, redirects one by one. */
export class Browser {
  readonly cookies = new Map<string, string>();
  /** Every `Set-Cookie` that came, as it came. */
  readonly received: string[] = [];

  constructor(readonly url: string) {}

  /** Cookies go to Signalbox only. */
  async go(to: string, init: RequestInit & { headers?: Record<string, string> } = {}): Promise<Response> {
    const url = new URL(to, this.url);
    const ours = url.origin === this.url;
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const headers = { ...init.headers, ...(ours && cookie !== '' ? { cookie } : {}) };
    const answer = await fetch(url, { redirect: 'manual', ...init, headers });
    if (ours) for (const line of answer.headers.getSetCookie()) this.#keep(line);
    return answer;
  }

  /** Goes to GitHub and back, and yields the address with which GitHub sends the browser back, not followed. */
  async toGitHub(returnTo = '/'): Promise<string> {
    const login = await this.go(`/auth/login?return_to=${encodeURIComponent(returnTo)}`);
    const github = await this.go(login.headers.get('location') ?? '');
    return github.headers.get('location') ?? '';
  }

  async signIn(returnTo = '/'): Promise<Response> {
    return this.go(await this.toGitHub(returnTo));
  }

  get header(): string {
    return [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  }

  #keep(line: string): void {
    this.received.push(line);
    const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
    if (/; Max-Age=0/.test(line)) this.cookies.delete(name);
    else this.cookies.set(name, value);
  }
}
