import { type Context, Hono } from 'hono';
import type { Tx } from '../../db/pool.js';
import type { Repository, Workspace } from '../../db/schema.js';
import { type LockResult, lockOnPage, unlockOnPage } from '../../github/page-lock.js';
import { queuePlan } from '../../github/queue-plan.js';
import { isRunState, type RunState } from '../../runs/machine.js';
import { commitNoted } from '../../runs/noted.js';
import { latestCompletedRun, listRuns } from '../../runs/run-list.js';
import type { Access } from '../../signin/access.js';
import { findStateVersion, listStateVersions, stateContents } from '../../state/state-contents.js';
import { mayUnlock } from '../../workspaces/lock.js';
import { queueOf, settingsOf } from '../../workspaces/workspace-detail.js';
import { listWorkspaces, repositoriesWithWorkspaces } from '../../workspaces/workspace-list.js';
import { checkForm, formLimit } from '../forgery.js';
import { runPath, workspacePath } from '../pages/addresses.js';
import { StateVersionPage } from '../pages/state-version-page.js';
import { StateVersionsPage } from '../pages/state-versions-page.js';
import { WorkspacePage } from '../pages/workspace-page.js';
import { WorkspacesPage } from '../pages/workspaces-page.js';
import { answer, Problem, pageContext } from './answer.js';
import { only } from './methods.js';
import { noticeOf } from './notices.js';
import { seenWorkspace } from './seen.js';
import type { PageServices, PagesEnv } from './services.js';

type PagesContext = Context<PagesEnv>;

const WORKSPACE = '/:owner/:repository/workspaces/:workspace';
/** State versions on a workspace's own page. */
const NEWEST = 5;

/** The list of workspaces, a workspace's page, its state, and its controls. */
export function workspaceRoutes(services: PageServices): Hono<PagesEnv> {
  const { db } = services;
  const app = new Hono<PagesEnv>();

  app.get('/', async (c) => {
    const session = c.get('session');
    const seen = [...((await services.signIn?.repositoriesOf(session))?.keys() ?? [])];
    const { q, repository, before, after, did, ...query } = c.req.query();
    const filter = { q, repository, state: stateIn(query.state) };
    const installed = seen.length > 0;
    const [listing, repositories, installUrl] = await Promise.all([
      listWorkspaces(db, { ...filter, repositories: seen, search: q, before, after }),
      repositoriesWithWorkspaces(db, seen),
      installed ? undefined : services.installUrl(),
    ]);
    return answer(
      c,
      <WorkspacesPage
        page={pageContext(services, session)}
        listing={listing}
        filter={filter}
        repositories={repositories}
        installed={installed}
        installUrl={installUrl}
        notice={noticeOf(did)}
      />,
    );
  });
  app.all('/', only('GET'));

  app.get(WORKSPACE, async (c) => {
    const { workspace, repository, access } = await seen(c, services);
    const { q, before, after, did, ...query } = c.req.query();
    const filter = { q, state: stateIn(query.state) };
    const { login } = c.get('session');
    const [runs, latestCompleted, queue, versions] = await Promise.all([
      listRuns(db, { workspace: workspace.id, state: filter.state, search: q, before, after }),
      latestCompletedRun(db, workspace.id),
      queueOf(db, workspace),
      listStateVersions(db, { workspace: workspace.id, limit: NEWEST }),
    ]);
    return answer(
      c,
      <WorkspacePage
        page={pageContext(services, c.get('session'))}
        access={access}
        workspace={workspace}
        repository={repository}
        runs={runs}
        filter={filter}
        latestCompleted={latestCompleted}
        queue={queue}
        settings={settingsOf(workspace)}
        stateVersions={versions.rows}
        mayUnlock={mayUnlock(workspace, { login, access })}
        notice={noticeOf(did)}
      />,
    );
  });
  app.all(WORKSPACE, only('GET'));

  app.get(`${WORKSPACE}/state-versions`, async (c) => {
    const { workspace, repository } = await seen(c, services);
    const { before, after } = c.req.query();
    const listing = await listStateVersions(db, { workspace: workspace.id, before, after });
    const page = pageContext(services, c.get('session'));
    return answer(c, <StateVersionsPage page={page} workspace={workspace} repository={repository} listing={listing} />);
  });
  app.all(`${WORKSPACE}/state-versions`, only('GET'));

  app.get(`${WORKSPACE}/state-versions/:version{[0-9]+}`, async (c) => {
    const { workspace, repository } = await seen(c, services);
    const id = Number(c.req.param('version'));
    const version = await findStateVersion(db, workspace.id, id);
    const contents = version && (await stateContents(db, services.encryption, workspace.id, id));
    if (!version || !contents) throw new Problem(404);
    const page = pageContext(services, c.get('session'));
    return answer(
      c,
      <StateVersionPage
        page={page}
        workspace={workspace}
        repository={repository}
        version={version}
        contents={contents}
      />,
    );
  });
  app.all(`${WORKSPACE}/state-versions/:version{[0-9]+}`, only('GET'));

  app.post(`${WORKSPACE}/queue-plan`, formLimit, async (c) => {
    const { workspace, form, back } = await formFor(c, services);
    const { login: actor } = c.get('session');
    const queued = await queuePlan(services.github, { workspace: workspace.id, actor, message: form.message ?? '' });
    if (!queued.queued) throw new Problem(409, queued.reason, back, 'No plan was queued');
    return c.redirect(`${runPath(queued.run.id)}?did=queue-plan`, 303);
  });
  app.all(`${WORKSPACE}/queue-plan`, only('POST'));

  app.post(`${WORKSPACE}/lock`, formLimit, async (c) => {
    const { workspace, form, back } = await formFor(c, services);
    const { login } = c.get('session');
    const change = (tx: Tx) => lockOnPage(tx, workspace.id, login, form.reason ?? '');
    return afterLock(c, back, 'lock', await commitNoted(db, services.log, change));
  });
  app.all(`${WORKSPACE}/lock`, only('POST'));

  app.post(`${WORKSPACE}/unlock`, formLimit, async (c) => {
    const { workspace, access, form, back } = await formFor(c, services);
    const person = { login: c.get('session').login, access };
    if (form.hold === undefined && workspace.locked_at !== null && !mayUnlock(workspace, person)) {
      const who = workspace.locked_by === null ? 'Only' : `Only ${workspace.locked_by} and`;
      throw new Problem(403, `${who} administrators of the repository may unlock it.`, back);
    }
    const change = (tx: Tx) => unlockOnPage(tx, workspace.id, person, form);
    return afterLock(c, back, 'unlock', await commitNoted(db, services.log, change));
  });
  app.all(`${WORKSPACE}/unlock`, only('POST'));
  return app;
}

interface Back {
  href: string;
  text: string;
}

function seen(c: PagesContext, services: PageServices) {
  const { owner = '', repository = '', workspace = '' } = c.req.param();
  return seenWorkspace(c, services, { owner, repository, workspace });
}

/** A workspace's form, from somebody who may write. */
async function formFor(
  c: PagesContext,
  services: PageServices,
): Promise<{
  workspace: Workspace;
  repository: Repository;
  access: Access;
  form: Record<string, string>;
  back: Back;
}> {
  const { workspace, repository, access } = await seen(c, services);
  const back = { href: workspacePath(repository, workspace.name), text: 'To the workspace' };
  const form = await checkForm(c, c.get('session'));
  if (!form) throw new Problem(403, undefined, back);
  if (access === 'read') {
    throw new Problem(403, 'Nothing was done: only somebody with write access to the repository may do that.', back);
  }
  return { workspace, repository, access, form, back };
}

function afterLock(c: PagesContext, back: Back, did: 'lock' | 'unlock', result: LockResult): Response {
  if (!result.done) throw new Problem(409, result.reason, back, 'Nothing was changed');
  return c.redirect(`${back.href}?did=${did}`, 303);
}

/** As it is written in the record, or as people read it: `needs_confirmation`, 'Needs Confirmation'. */
function stateIn(words: string | undefined): RunState | undefined {
  if (!words) return undefined;
  const state = words.toLowerCase().replaceAll(/[ -]/g, '_');
  if (!isRunState(state)) throw new Problem(400, `There is no state ${words.slice(0, 60)}.`);
  return state;
}
