import type { Context } from 'hono';
import { html } from 'hono/html';
import type { Session } from '../../signin/session.js';
import type { PageContext } from '../pages/page-context.js';
import { ProblemPage, type ProblemStatus } from '../pages/problem-page.js';
import type { PageServices } from './services.js';

type Element = ReturnType<typeof ProblemPage>;

/** A request ends here, with a page that says why. */
export class Problem extends Error {
  override name = 'Problem';

  constructor(
    readonly status: ProblemStatus,
    /** A sentence; undefined: what such a problem is in general. */
    readonly detail?: string,
    readonly back?: { href: string; text: string } | undefined,
    /** Undefined: what such a problem is called. */
    readonly title?: string,
  ) {
    super(detail ?? String(status));
  }
}

export function pageContext(services: PageServices, session: Session | undefined): PageContext {
  const { githubUrl, version, assets } = services;
  return { now: new Date(), githubUrl, version, session, asset: assets.url };
}

/** Pages are about one person at one moment: nobody keeps them. */
export function answer(
  c: Context,
  page: Element,
  status: 200 | 401 | ProblemStatus = 200,
): Response | Promise<Response> {
  c.header('Cache-Control', 'no-store');
  return c.html(html`<!doctype html>${page}`, status);
}

/** The same in pieces, as they come. What fails before the first of them is an error of the request. */
export async function answerPieces(c: Context, pieces: AsyncGenerator<string, void>): Promise<Response> {
  const first = await pieces.next();
  c.header('Cache-Control', 'no-store');
  c.header('Content-Type', 'text/html; charset=UTF-8');
  if (c.req.method === 'HEAD') return c.body(null);
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(encoder.encode(first.value ?? '')),
    async pull(controller) {
      const { done, value } = await pieces.next();
      if (done) controller.close();
      else controller.enqueue(encoder.encode(value));
    },
    cancel: () => void pieces.return(),
  });
  return c.body(body);
}

export function answerProblem(c: Context, services: PageServices, problem: Problem) {
  const session = c.get('session') as Session | undefined;
  const { status, title, detail, back } = problem;
  const context = pageContext(services, session);
  const page = <ProblemPage page={context} status={status} title={title} detail={detail} back={back} />;
  return answer(c, page, status);
}
