import { randomBytes } from 'node:crypto';
import type { Json } from './http.js';
import type { Ids } from './ids.js';
import { nodeId, timestamp } from './ids.js';

export type AccountType = 'User' | 'Organization' | 'Bot';

export interface Account {
  id: number;
  login: string;
  type: AccountType;
  /** A person's personal access token, for git and REST. */
  token?: string;
  createdAt: string;
  /** Of an organisation: login in lower case → role. */
  members: Map<string, 'admin' | 'member'>;
  /** Of an organisation: slug → logins in lower case. */
  teams: Map<string, Set<string>>;
}

/** People, organisations and the bots of Apps. */
export class Accounts {
  readonly #byLogin = new Map<string, Account>();
  readonly #byToken = new Map<string, Account>();

  constructor(
    private readonly ids: Ids,
    private readonly url: () => string,
  ) {}

  create(login: string, type: AccountType): Account {
    if (this.find(login)) throw new Error(`there is an account ${login} already`);
    const account: Account = {
      id: this.ids.next(),
      login,
      type,
      createdAt: timestamp(),
      members: new Map(),
      teams: new Map(),
    };
    if (type === 'User') {
      account.token = `ghp_${randomBytes(18).toString('hex')}`;
      this.#byToken.set(account.token, account);
    }
    this.#byLogin.set(login.toLowerCase(), account);
    return account;
  }

  find(login: string): Account | undefined {
    return this.#byLogin.get(login.toLowerCase());
  }

  values(): Iterable<Account> {
    return this.#byLogin.values();
  }

  get(login: string): Account {
    const account = this.find(login);
    if (!account) throw new Error(`there is no account ${login}: create it first`);
    return account;
  }

  byToken(token: string): Account | undefined {
    return this.#byToken.get(token);
  }

  /** Whose commits these are: `<login>@users.test` and GitHub's no-reply addresses belong to people. */
  byEmail(email: string): Account | undefined {
    const login = /^(?:\d+\+)?([^@]+)@users\.(?:test|noreply\.github\.com)$/.exec(email)?.[1];
    return login ? this.find(login) : undefined;
  }

  email(account: Account): string {
    return `${account.login}@users.test`;
  }

  json(account: Account): Json {
    const path = account.login.replace('[bot]', '%5Bbot%5D');
    const api = `${this.url()}/api/v3/users/${path}`;
    const app = account.type === 'Bot' ? `apps/${account.login.replace('[bot]', '')}` : account.login;
    return {
      login: account.login,
      id: account.id,
      node_id: nodeId(account.type, account.id),
      avatar_url: `${this.url()}/avatars/u/${account.id}`,
      gravatar_id: '',
      url: api,
      html_url: `${this.url()}/${app}`,
      followers_url: `${api}/followers`,
      following_url: `${api}/following{/other_user}`,
      gists_url: `${api}/gists{/gist_id}`,
      starred_url: `${api}/starred{/owner}{/repo}`,
      subscriptions_url: `${api}/subscriptions`,
      organizations_url: `${api}/orgs`,
      repos_url: `${api}/repos`,
      events_url: `${api}/events{/privacy}`,
      received_events_url: `${api}/received_events`,
      type: account.type,
      user_view_type: 'public',
      site_admin: false,
    };
  }

  organizationJson(account: Account): Json {
    const api = `${this.url()}/api/v3/orgs/${account.login}`;
    return {
      login: account.login,
      id: account.id,
      node_id: nodeId('Organization', account.id),
      url: api,
      repos_url: `${api}/repos`,
      events_url: `${api}/events`,
      hooks_url: `${api}/hooks`,
      issues_url: `${api}/issues`,
      members_url: `${api}/members{/member}`,
      public_members_url: `${api}/public_members{/member}`,
      avatar_url: `${this.url()}/avatars/u/${account.id}`,
      description: null,
    };
  }

  fullJson(account: Account): Json {
    return {
      ...this.json(account),
      name: account.login,
      company: null,
      blog: '',
      location: null,
      email: account.type === 'User' ? this.email(account) : null,
      hireable: null,
      bio: null,
      twitter_username: null,
      public_repos: 0,
      public_gists: 0,
      followers: 0,
      following: 0,
      created_at: account.createdAt,
      updated_at: account.createdAt,
    };
  }
}
