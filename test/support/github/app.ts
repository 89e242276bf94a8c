import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, verify } from 'node:crypto';
import type { Account } from './accounts.js';
import { HttpError, type Json } from './http.js';
import { nodeId, timestamp } from './ids.js';
import type { Repository } from './repository.js';

export type Permissions = Record<string, 'read' | 'write' | 'admin'>;

export interface AppOptions {
  id?: number;
  slug?: string;
  name?: string;
  /** PEM; generated when absent. */
  privateKey?: string;
  /** What every installation grants. */
  permissions?: Permissions;
  /** The events that are delivered, beside the installation's own. */
  events?: string[];
  /** Where people may be sent back to after authorising it. None: anywhere. */
  callbackUrls?: string[];
}

export const DEFAULT_PERMISSIONS: Permissions = {
  checks: 'write',
  contents: 'read',
  issues: 'read',
  members: 'read',
  metadata: 'read',
  pull_requests: 'write',
  statuses: 'read',
};

export const DEFAULT_EVENTS = [
  'check_run',
  'check_suite',
  'issue_comment',
  'merge_group',
  'pull_request',
  'pull_request_review',
  'push',
  'repository',
];

export class App {
  readonly id: number;
  readonly slug: string;
  readonly name: string;
  readonly privateKey: string;
  readonly clientId = `Iv23li${randomBytes(7).toString('hex')}`;
  readonly clientSecret = randomBytes(20).toString('hex');
  readonly createdAt = timestamp();
  readonly permissions: Permissions;
  readonly events: string[];
  callbackUrls: string[];
  webhookUrl: string | undefined;
  webhookSecret = '';
  readonly #publicKey: KeyObject;

  constructor(
    options: AppOptions & { id: number; slug: string },
    readonly owner: Account,
    readonly bot: Account,
    readonly hookId: number,
  ) {
    this.id = options.id;
    this.slug = options.slug;
    this.name = options.name ?? options.slug;
    this.privateKey = options.privateKey ?? generatePrivateKey();
    this.permissions = { metadata: 'read', ...(options.permissions ?? DEFAULT_PERMISSIONS) };
    this.events = options.events ?? DEFAULT_EVENTS;
    this.callbackUrls = options.callbackUrls ?? [];
    this.#publicKey = createPublicKey(this.privateKey);
  }

  /** Throws GitHub's 401 unless the token is signed with this App's key and within its ten minutes. */
  verify(token: string): void {
    const [header = '', payload = '', signature = ''] = token.split('.');
    const claims = decodeSegment(payload);
    const now = Math.floor(Date.now() / 1000);
    const signed = verify(
      'RSA-SHA256',
      Buffer.from(`${header}.${payload}`),
      this.#publicKey,
      Buffer.from(signature, 'base64url'),
    );
    if (decodeSegment(header)?.alg !== 'RS256' || !claims || !signed) {
      throw new HttpError(401, 'A JSON web token could not be decoded');
    }
    if (typeof claims.iat !== 'number' || claims.iat > now + 60) {
      throw new HttpError(
        401,
        "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued",
      );
    }
    if (typeof claims.exp !== 'number' || claims.exp <= now) {
      throw new HttpError(
        401,
        "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires",
      );
    }
    if (claims.exp > now + 600) throw new HttpError(401, "'Expiration time' claim ('exp') is too far in the future");
  }

  json(owner: Json, url: string): Json {
    return {
      id: this.id,
      slug: this.slug,
      node_id: nodeId('App', this.id),
      client_id: this.clientId,
      owner,
      name: this.name,
      description: '',
      external_url: url,
      html_url: `${url}/apps/${this.slug}`,
      created_at: this.createdAt,
      updated_at: this.createdAt,
      permissions: this.permissions,
      events: this.events,
    };
  }
}

/** The App that a JWT says it comes from: `iss` is its id or its client id. */
export function issuerOf(token: string): string {
  const claims = decodeSegment(token.split('.')[1] ?? '');
  return String(claims?.iss ?? '');
}

function decodeSegment(segment: string): Json | undefined {
  try {
    return JSON.parse(Buffer.from(segment, 'base64url').toString()) as Json;
  } catch {
    return undefined;
  }
}

/** Generating a key takes up to half a second: one is enough for a process. */
let generated: string | undefined;

function generatePrivateKey(): string {
  generated ??= generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
  }).privateKey;
  return generated;
}

export interface Installation {
  id: number;
  app: App;
  account: Account;
  permissions: Permissions;
  events: string[];
  createdAt: string;
  /** Its tokens are refused, and it gets no webhooks, until it is taken up again. */
  suspendedAt: string | null;
  /** `all`, or the ids of the selected repositories. */
  repositories: 'all' | Set<number>;
}

export class InstallationToken {
  readonly value = `ghs_${randomBytes(18).toString('hex')}`;
  expiresAt = Date.now() + 3_600_000;
  revoked = false;

  constructor(
    readonly installation: Installation,
    readonly permissions: Permissions,
    readonly repositoryIds: ReadonlySet<number> | undefined,
  ) {}

  get usable(): boolean {
    return !this.revoked && Date.now() < this.expiresAt && this.installation.suspendedAt === null;
  }

  covers(repository: Repository): boolean {
    const { installation } = this;
    if (!covers(installation, repository)) return false;
    return this.repositoryIds?.has(repository.id) ?? true;
  }

  /** Whether a permission such as `checks:write` is granted; write includes read. */
  permits(need: string): boolean {
    return permits(this.permissions, need);
  }
}

export function permits(permissions: Permissions, need: string): boolean {
  const [name = '', level] = need.split(':');
  const granted = permissions[name];
  return granted === 'write' || granted === 'admin' || (granted === 'read' && level === 'read');
}

export function covers(installation: Installation, repository: Repository): boolean {
  if (installation.account !== repository.owner) return false;
  return installation.repositories === 'all' || installation.repositories.has(repository.id);
}
