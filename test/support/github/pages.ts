import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Permissions } from './app.js';
import { type Json, notFound } from './http.js';
import type { LocalGitHub } from './local-github.js';

interface Manifest {
  name?: string;
  url?: string;
  redirect_url?: string;
  hook_attributes?: { url?: string };
  default_permissions?: Permissions;
  default_events?: string[];
  callback_urls?: string[];
}

const NEW_APP = /^\/(?:organizations\/[^/]+\/)?settings\/apps\/new$/;

const INSTALL = /^\/(?:github-)?apps\/([^/]+)\/installations\/new$/;

/** Codes of manifests that were accepted and not yet converted. */
const codes = new WeakMap<LocalGitHub, Map<string, Manifest>>();

/** The few of GitHub's pages that a set-up needs: registering an App from a manifest, and installing it; without asking. */
export async function servePage(
  github: LocalGitHub,
  request: IncomingMessage,
  response: ServerResponse,
  url: URL,
): Promise<void> {
  const log = github.log(request.method ?? 'GET', `${request.method} ${url.pathname}`, url.pathname);
  const end = (status: number, text: string, headers: Record<string, string> = {}) => {
    log.status = status;
    response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', ...headers }).end(text);
  };
  const slug = INSTALL.exec(url.pathname)?.[1];
  const app = [...github.apps.values()].find((each) => each.slug === slug);
  if (app) {
    for (const repository of github.repositories.values()) github.install(repository, app);
    return end(200, `${app.slug} is installed on all repositories.\n`);
  }
  if (!NEW_APP.test(url.pathname)) return end(404, 'Not Found');
  if (request.method !== 'POST') return end(200, 'POST a form with a field "manifest" here to register an App.\n');
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const form = new URLSearchParams(Buffer.concat(chunks).toString());
  let manifest: Manifest;
  try {
    manifest = JSON.parse(form.get('manifest') ?? '') as Manifest;
  } catch {
    return end(422, 'The manifest is not JSON.\n');
  }
  if (!manifest.url) return end(422, 'Invalid GitHub App configuration: "url" wasn\'t supplied.\n');
  const code = randomBytes(20).toString('hex');
  const known = codes.get(github) ?? new Map<string, Manifest>();
  codes.set(github, known.set(code, manifest));
  if (!manifest.redirect_url) return end(200, `${code}\n`);
  const location = new URL(manifest.redirect_url);
  location.searchParams.set('code', code);
  const state = url.searchParams.get('state');
  if (state) location.searchParams.set('state', state);
  return end(302, '', { location: location.href });
}

/** A code is good for one conversion: it makes the App, with a key and a webhook secret of its own. */
export function convertManifest(github: LocalGitHub, code: string): Json {
  const manifest = codes.get(github)?.get(code);
  if (!manifest) throw notFound();
  codes.get(github)?.delete(code);
  const name = manifest.name ?? 'app';
  const slug = freeSlug(github, name.toLowerCase().replace(/[^a-z0-9]+/g, '-'));
  const owner = github.app.owner;
  const {
    default_permissions: permissions = {},
    default_events: events = [],
    callback_urls: callbackUrls = [],
  } = manifest;
  const app = github.registerApp({ slug, name, permissions, events, callbackUrls }, owner);
  app.webhookUrl = manifest.hook_attributes?.url;
  app.webhookSecret = randomBytes(20).toString('hex');
  return {
    ...github.appJson(app),
    client_secret: app.clientSecret,
    webhook_secret: app.webhookSecret,
    pem: app.privateKey,
  };
}

/** GitHub asks for another name where one is taken. */
function freeSlug(github: LocalGitHub, wanted: string): string {
  for (let number = 1; ; number += 1) {
    const slug = number === 1 ? wanted : `${wanted}-${number}`;
    if (!github.accounts.find(`${slug}[bot]`)) return slug;
  }
}
