import type { IncomingMessage, ServerResponse } from 'node:http';
import type { App } from './app.js';
import { HttpError, type Json } from './http.js';
import type { LocalGitHub } from './local-github.js';
import { before } from './misbehave.js';
import { TokenError, tokenJson } from './user-tokens.js';

interface Page {
  status: number;
  type?: string;
  text?: string;
  headers?: Record<string, string>;
}

const TOKEN = 'POST /login/oauth/access_token';

/** The web flow of user access tokens: the page on which a person authorises an App, and the exchange after it. */
export async function serveSignIn(
  github: LocalGitHub,
  request: IncomingMessage,
  response: ServerResponse,
  url: URL,
): Promise<void> {
  const route = `${request.method} ${url.pathname}`;
  const log = github.log(request.method ?? 'GET', route, url.pathname);
  const fields = await readFields(request);
  let page: Page | undefined;
  try {
    if (route === TOKEN) {
      log.body = Object.fromEntries(fields);
      page = await serveToken(github, fields, log.body, request.headers.accept ?? '');
    } else page = serveAuthorization(github, request.method === 'POST' ? fields : url.searchParams, request, url);
  } catch (error) {
    if (!(error instanceof HttpError)) throw error;
    page = { status: error.status, text: `<h1>${escapeHtml(error.message)}</h1>`, headers: error.headers };
  }
  if (!page) return void request.socket.destroy();
  log.status = page.status;
  const { status, type = 'text/html', text = '', headers } = page;
  response.writeHead(status, { 'content-type': `${type}; charset=utf-8`, ...headers }).end(text);
}

/** Undefined: the connection is cut. */
async function serveToken(
  github: LocalGitHub,
  fields: URLSearchParams,
  body: Json,
  accept: string,
): Promise<Page | undefined> {
  const app = appOf(github, fields.get('client_id'));
  const rule = app && github.misbehaviours.meet(TOKEN, '/login/oauth/access_token', { kind: 'client', app }, body);
  if ((await before(rule)) === 'drop') return undefined;
  const answer = exchange(github, app, fields);
  if (rule?.how === 'lose-answer') return undefined;
  if (rule?.how === 'lose-answer-502') throw new HttpError(502, 'Server Error');
  if (accept.includes('json')) return { status: 200, type: 'application/json', text: JSON.stringify(answer) };
  const text = String(new URLSearchParams(Object.entries(answer).map(([name, value]) => [name, String(value)])));
  return { status: 200, type: 'application/x-www-form-urlencoded', text };
}

/** As on GitHub, errors are 200 too. */
function exchange(github: LocalGitHub, app: App | undefined, fields: URLSearchParams) {
  const { userTokens } = github;
  try {
    if (!app || fields.get('client_secret') !== app.clientSecret)
      throw new TokenError('incorrect_client_credentials', 'The client_id and/or client_secret passed are incorrect.');
    const token =
      fields.get('grant_type') === 'refresh_token'
        ? userTokens.refresh(app, fields.get('refresh_token') ?? '')
        : userTokens.exchange(app, fields.get('code') ?? '', fields.get('redirect_uri'), fields.get('code_verifier'));
    return tokenJson(token, userTokens.lifetime);
  } catch (error) {
    if (!(error instanceof TokenError)) throw error;
    const error_uri =
      'https://docs.github.com/apps/managing-oauth-apps/troubleshooting-oauth-app-access-token-request-errors';
    return { error: error.code, error_description: error.message, error_uri };
  }
}

/** Somebody whom `signInAs` named has authorised the App before: GitHub asks nothing then. Others choose who they are. */
function serveAuthorization(github: LocalGitHub, asked: URLSearchParams, { method }: IncomingMessage, url: URL): Page {
  const app = appOf(github, asked.get('client_id'));
  if (url.pathname !== '/login/oauth/authorize' || !app) return { status: 404, text: 'Not Found' };
  const redirectUri = asked.get('redirect_uri') ?? app.callbackUrls[0] ?? '';
  if (app.callbackUrls.length > 0 && !app.callbackUrls.includes(redirectUri)) {
    const text = '<h1>Be careful!</h1><p>The redirect_uri is not associated with this application.</p>';
    return { status: 200, text };
  }
  const back = (more: Record<string, string>): Page => {
    const to = new URL(redirectUri);
    const state = asked.get('state');
    for (const [name, value] of Object.entries({ ...more, ...(state === null ? {} : { state }) }))
      to.searchParams.set(name, value);
    return { status: 302, headers: { location: to.href } };
  };
  const answered = method === 'POST';
  if (answered && asked.get('answer') !== 'authorize') {
    const error_description = 'The user has denied your application access.';
    return back({ error: 'access_denied', error_description });
  }
  const login = answered ? (asked.get('login') ?? '') : github.signedInAs;
  const account = login === undefined ? undefined : github.accounts.find(login);
  if (account?.type !== 'User') return { status: 200, text: form(github, app, asked, login) };
  return back({ code: github.userTokens.grant({ app, account, redirectUri, challenge: challengeOf(asked) }) });
}

function challengeOf(asked: URLSearchParams): string | undefined {
  const challenge = asked.get('code_challenge') ?? undefined;
  if (challenge !== undefined && asked.get('code_challenge_method') !== 'S256')
    throw new HttpError(400, 'code_challenge_method must be S256');
  return challenge;
}

function appOf(github: LocalGitHub, clientId: string | null): App | undefined {
  return [...github.apps.values()].find((each) => each.clientId === clientId);
}

async function readFields(request: IncomingMessage): Promise<URLSearchParams> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString();
  if (!request.headers['content-type']?.includes('json')) return new URLSearchParams(text);
  return new URLSearchParams(JSON.parse(text) as Record<string, string>);
}

const KEPT = ['client_id', 'redirect_uri', 'state', 'code_challenge', 'code_challenge_method'];

function form(github: LocalGitHub, app: App, asked: URLSearchParams, unknown: string | undefined): string {
  const hidden = KEPT.filter((name) => asked.has(name)).map(
    (name) => `<input type="hidden" name="${name}" value="${escapeHtml(asked.get(name) ?? '')}">`,
  );
  const people = [...github.accounts.values()]
    .filter((each) => each.type === 'User')
    .map((each) => `<option value="${escapeHtml(each.login)}">`);
  const complaint = unknown === undefined ? '' : `<p role="alert">There is no person ${escapeHtml(unknown)}.</p>`;
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Authorize ${escapeHtml(app.name)}</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 24rem; margin: 4rem auto; padding: 0 1rem; }
  input, button { font: inherit; padding: 0.3rem 0.6rem; }
  input { display: block; width: 100%; box-sizing: border-box; margin-bottom: 1rem; }
</style>
<h1>Authorize ${escapeHtml(app.name)}</h1>
<p>This is the local GitHub: whoever you say you are, you are.</p>
${complaint}
<form method="post" action="/login/oauth/authorize">
  ${hidden.join('\n  ')}
  <label for="login">Username</label>
  <input id="login" name="login" list="people" autocomplete="off" autofocus>
  <datalist id="people">${people.join('')}</datalist>
  <button name="answer" value="authorize">Authorize ${escapeHtml(app.name)}</button>
  <button name="answer" value="cancel">Cancel</button>
</form>
</html>
`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
