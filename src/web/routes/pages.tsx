import { Hono } from 'hono';
import { secureHeaders } from 'hono/secure-headers';
import { BadCursor } from '../../db/listing.js';
import { isPassing } from '../../github/failures.js';
import { AppRefused } from '../../github/repository-scope.js';
import { SaidTooMuch } from '../../runs/said.js';
import { GitHubAway, SessionOver } from '../../signin/sign-in.js';
import { assetRoutes } from '../assets.js';
import { FormTooLarge } from '../forgery.js';
import { NoClientIdPage, ProblemPage, SignInPage } from '../pages/problem-page.js';
import { answer, answerProblem, Problem, pageContext } from './answer.js';
import { authRoutes } from './auth.js';
import { runRoutes } from './run-routes.js';
import type { PageServices, PagesEnv } from './services.js';
import { workspaceRoutes } from './workspace-routes.js';

/** Everything that people look at: to be mounted at `/`, behind the addresses that are for machines. */
export function createPages(services: PageServices): Hono<PagesEnv> {
  const { signIn } = services;
  const app = new Hono<PagesEnv>();
  app.use(
    secureHeaders({
      contentSecurityPolicy: {
        defaultSrc: ["'none'"],
        scriptSrc: ["'self'"],
        styleSrc: ["'self'"],
        imgSrc: ["'self'", 'data:'],
        fontSrc: ["'self'"],
        connectSrc: ["'self'"],
        formAction: ["'self'"],
        frameAncestors: ["'none'"],
        baseUri: ["'none'"],
      },
      xFrameOptions: 'DENY',
      referrerPolicy: 'same-origin',
      // Whether all of this host is to be had by TLS alone is for whoever runs it to say.
      strictTransportSecurity: false,
    }),
  );
  app.route('/', assetRoutes(services.assets));
  if (!signIn) {
    app.all('*', (c) => answer(c, <NoClientIdPage page={pageContext(services, undefined)} />, 503));
    return app;
  }
  app.route(
    '/',
    authRoutes({
      signIn,
      publicUrl: services.publicUrl,
      problemPage: (c, { status, title, text, action }) => {
        const page = pageContext(services, undefined);
        const back = action && { href: action.href, text: action.label };
        return answer(c, <ProblemPage page={page} status={status} title={title} detail={text} back={back} />, status);
      },
    }),
  );

  app.use(async (c, next) => {
    const session = await signIn.sessionOf(c.req.header('cookie'));
    if (!session) {
      return answer(c, <SignInPage page={pageContext(services, undefined)} returnTo={returnTo(c.req)} />, 401);
    }
    c.set('session', session);
    c.header('Cache-Control', 'no-store');
    return next();
  });
  app.route('/', workspaceRoutes(services));
  app.route('/', runRoutes(services));
  app.all('*', () => {
    throw new Problem(404);
  });

  app.onError((error, c) => {
    if (error instanceof Problem) return answerProblem(c, services, error);
    if (error instanceof FormTooLarge) return answerProblem(c, services, new Problem(413));
    if (error instanceof BadCursor) return answerProblem(c, services, new Problem(400, error.message));
    if (error instanceof SaidTooMuch) {
      return answerProblem(c, services, new Problem(400, error.message, pageOf(c.req), 'That is too long'));
    }
    if (error instanceof AppRefused) {
      return answerProblem(c, services, new Problem(409, error.message, pageOf(c.req), 'Nothing was changed'));
    }
    if (error instanceof GitHubAway) return answerProblem(c, services, new Problem(503));
    if (error instanceof SessionOver) {
      return answer(c, <SignInPage page={pageContext(services, undefined)} returnTo={returnTo(c.req)} />, 401);
    }
    if (isPassing(error)) {
      const detail =
        'Something that this page needs doesn’t answer: the database, GitHub or git. Try again in a moment.';
      return answerProblem(c, services, new Problem(503, detail, undefined, 'Not now'));
    }
    services.log.error({ err: error, path: c.req.path }, 'A page could not be shown');
    return answerProblem(c, services, new Problem(500));
  });
  return app;
}

/** The page that a control is on: its form goes to an address right below. */
function pageOf({ path }: { path: string }): { href: string; text: string } {
  return { href: path.slice(0, path.lastIndexOf('/')), text: 'Back' };
}

/** Where to go after signing in: a form that was sent meanwhile isn't sent again. */
function returnTo({ method, url }: { method: string; url: string }): string {
  const { pathname, search } = new URL(url);
  return method === 'GET' ? `${pathname}${search}` : '/';
}
