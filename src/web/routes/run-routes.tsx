import { type Context, Hono } from 'hono';
import type { Run, Stage } from '../../db/schema.js';
import { pressOnPage } from '../../github/page-press.js';
import { rawOutput } from '../../live/raw-output.js';
import { addComment } from '../../runs/comments.js';
import { type Control, type Move, mayUse } from '../../runs/controls.js';
import { commitNoted } from '../../runs/noted.js';
import { findRunAndRepository } from '../../runs/store.js';
import type { KnownAccess } from '../../signin/access.js';
import type { Session } from '../../signin/session.js';
import { SessionOver } from '../../signin/sign-in.js';
import { checkForm, formLimit } from '../forgery.js';
import { runPath } from '../pages/addresses.js';
import type { Notice } from '../pages/parts.js';
import { ResourcePage } from '../pages/resource-page.js';
import { answer, answerPieces, Problem, pageContext } from './answer.js';
import { only } from './methods.js';
import { noticeOf } from './notices.js';
import { planOf, renderRegions, renderRun } from './run-view.js';
import { seenRun } from './seen.js';
import type { PageServices, PagesEnv } from './services.js';

type PagesContext = Context<PagesEnv>;

const MOVES: readonly Move[] = ['confirm', 'discard', 'cancel', 'force-cancel'];

/** A run's page, its output as files and as events, and its controls. */
export function runRoutes(services: PageServices): Hono<PagesEnv> {
  const app = new Hono<PagesEnv>();

  app.get('/runs/:id', async (c) => {
    const { run, access } = await seenRun(c, services, c.req.param('id'));
    const page = pageContext(services, c.get('session'));
    const ask = c.req.query('ask') === 'apply';
    const notice: Notice | undefined = noticeOf(c.req.query('did'));
    return answerPieces(c, renderRun(services, run.id, { page, access, ask, notice }));
  });
  app.all('/runs/:id', only('GET'));

  app.get('/runs/:id/resources/:index{[0-9]+}', async (c) => {
    const { run, repository } = await seenRun(c, services, c.req.param('id'));
    const plan = await planOf(services, run.id);
    const resource = plan?.shown ? plan.plan.resources[Number(c.req.param('index'))] : undefined;
    if (!resource) throw new Problem(404, undefined, { href: runPath(run.id), text: 'To the run' });
    const page = pageContext(services, c.get('session'));
    return answer(c, <ResourcePage page={page} run={run} repository={repository} resource={resource} />);
  });
  app.all('/runs/:id/resources/:index{[0-9]+}', only('GET'));

  for (const stage of ['plan', 'apply'] satisfies Stage[]) {
    app.get(`/runs/:id/${stage}.txt`, async (c) => {
      const { run } = await seenRun(c, services, c.req.param('id'));
      return rawOutput(services.db, run, stage);
    });
    app.all(`/runs/:id/${stage}.txt`, only('GET'));
  }

  app.get('/runs/:id/events', async (c) => {
    const { run } = await seenRun(c, services, c.req.param('id'));
    if (c.req.method === 'HEAD') {
      // A stream that nobody reads would stay open, and count.
      return c.body(null, 200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
    }
    const { session, cookies } = { session: c.get('session'), cookies: c.req.header('cookie') };
    return services.streams.open({
      run: run.id,
      from: c.req.header('last-event-id') || c.req.query('from'),
      has: c.req.query('has')?.split(',') ?? [],
      session: session.id,
      access: () => presentAccess(services, session, cookies, run.id),
      render: (access) => renderRegions(services, run.id, access),
    });
  });
  app.all('/runs/:id/events', only('GET'));

  for (const move of MOVES) {
    app.post(`/runs/:id/${move}`, formLimit, async (c) => {
      const { run } = await formFor(c, services, move);
      const result = await pressOnPage(services.github, run.id, move, c.get('session').login);
      if (!result.done) {
        throw new Problem(409, `Nothing was done: ${result.reason}.`, { href: runPath(run.id), text: 'To the run' });
      }
      return c.redirect(`${runPath(run.id)}?did=${move}`, 303);
    });
    app.all(`/runs/:id/${move}`, only('POST'));
  }

  app.post('/runs/:id/comment', formLimit, async (c) => {
    const { run, form } = await formFor(c, services, 'comment');
    const { login } = c.get('session');
    const added = await commitNoted(services.db, services.log, (tx) => addComment(tx, run, login, form.comment ?? ''));
    return c.redirect(`${runPath(run.id)}${added ? '?did=comment#timeline' : ''}`, 303);
  });
  app.all('/runs/:id/comment', only('POST'));
  return app;
}

/** A control's form, from somebody who may use it. */
async function formFor(
  c: PagesContext,
  services: PageServices,
  control: Control,
): Promise<{ run: Run; form: Record<string, string> }> {
  const { run, access } = await seenRun(c, services, c.req.param('id') ?? '');
  const back = { href: runPath(run.id), text: 'To the run' };
  const form = await checkForm(c, c.get('session'));
  if (!form) throw new Problem(403, undefined, back);
  if (!mayUse(control, access)) {
    const needed = control === 'force-cancel' ? 'an administrator of' : 'somebody with write access to';
    throw new Problem(403, `Nothing was done: only ${needed} the repository may do that.`, back);
  }
  return { run, form };
}

/** What somebody may see now whose page has been open for a while. */
async function presentAccess(
  services: PageServices,
  { id }: Session,
  cookies: string | undefined,
  run: string,
): Promise<KnownAccess | undefined> {
  const session = await services.signIn?.sessionOf(cookies);
  const found = await findRunAndRepository(services.db, run);
  if (session?.id !== id || !found || found.repository.removed_at !== null) return undefined;
  try {
    return await services.signIn?.knownAccess(session, found.repository);
  } catch (error) {
    if (error instanceof SessionOver) return undefined;
    throw error;
  }
}
