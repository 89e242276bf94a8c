import { type Context, Hono } from 'hono';
import { isLoopback } from '../../signin/cookies.js';
import { GitHubAway, type SignIn, TooManySignIns } from '../../signin/sign-in.js';
import { checkForm, formLimit, sameOrigin } from '../forgery.js';
import { only } from './methods.js';

/** A page that says one thing, and where to go from it. */
export interface Problem {
  status: 200 | 403 | 503;
  title: string;
  text: string;
  action?: { label: string; href: string };
}

export type ProblemPage = (c: Context, problem: Problem) => Response | Promise<Response>;

export interface AuthRoutesOptions {
  signIn: SignIn;
  /** Where GitHub sends people back to. */
  publicUrl: string;
  problemPage: ProblemPage;
}

const AGAIN = { label: 'Sign in', href: '/auth/login' };

/** `/auth/login`, `/auth/callback`, `/auth/sign-out`, `/auth/signed-out`: to be mounted at `/`. */
export function authRoutes({ signIn, publicUrl, problemPage }: AuthRoutesOptions): Hono {
  const app = new Hono();
  app.use('/auth/*', async (c, next) => {
    await next();
    // They are about one person at one moment, and the callback's address has a code in it.
    c.header('Cache-Control', 'no-store');
    c.header('Referrer-Policy', 'no-referrer');
  });

  app.get('/auth/login', async (c) => {
    const there = onOtherLoopback(c.req.url, publicUrl);
    if (there !== undefined) return c.redirect(there);
    const { location, cookie } = await signIn.begin(c.req.query('return_to') ?? '/', c.req.header('cookie'));
    setCookies(c, cookie);
    return c.redirect(location);
  });
  app.all('/auth/login', only('GET'));

  app.get('/auth/callback', async (c) => {
    try {
      const result = await signIn.finish(new URL(c.req.url).searchParams, c.req.header('cookie'));
      setCookies(c, result.cookie);
      if (result.signedIn) return c.redirect(result.returnTo, 303);
      return problemPage(c, { status: 403, title: 'You are not signed in', text: result.problem, action: AGAIN });
    } catch (error) {
      if (error instanceof TooManySignIns) {
        const text = `${error.message} Try again in a moment.`;
        return problemPage(c, { status: 503, title: 'Not now', text, action: AGAIN });
      }
      if (!(error instanceof GitHubAway)) throw error;
      const text = `${error.message} Nobody can sign in until it does; try again in a moment.`;
      return problemPage(c, { status: 503, title: 'GitHub is away', text, action: AGAIN });
    }
  });
  app.all('/auth/callback', only('GET'));

  app.post('/auth/sign-out', formLimit, async (c) => {
    const session = await signIn.sessionOf(c.req.header('cookie'));
    if (session ? !(await checkForm(c, session)) : !sameOrigin(c)) {
      const text = 'The request did not come from a page of this session. Open the page again, and sign out there.';
      return problemPage(c, {
        status: 403,
        title: 'You are still signed in',
        text,
        action: { label: 'Back', href: '/' },
      });
    }
    if (session) c.header('Set-Cookie', await signIn.end(session));
    return c.redirect('/auth/signed-out', 303);
  });
  app.all('/auth/sign-out', only('POST'));

  // Not `/`, from where somebody who isn't signed in may be sent to GitHub, which signs them in at once.
  app.get('/auth/signed-out', (c) =>
    problemPage(c, { status: 200, title: 'You are signed out', text: 'Of Signalbox, not of GitHub.', action: AGAIN }),
  );
  app.all('/auth/signed-out', only('GET'));
  return app;
}

function setCookies(c: Context, cookies: string[]): void {
  for (const cookie of cookies) c.header('Set-Cookie', cookie, { append: true });
}

/**
 * `localhost` and `127.0.0.1` are one machine with two names, and a cookie is for one of them: the sign-in begins under the
 * name to which GitHub comes back. Undefined: it does. Other names than PUBLIC_URL's are a proxy's business.
 */
function onOtherLoopback(url: string, publicUrl: string): string | undefined {
  const { hostname, pathname, search } = new URL(url);
  const ours = new URL(publicUrl);
  if (hostname === ours.hostname || !isLoopback(hostname) || !isLoopback(ours.hostname)) return undefined;
  return `${publicUrl}${pathname}${search}`;
}
