import type { Tx } from '../db/pool.js';
import type { PullRequest, Run, Workspace } from '../db/schema.js';
import { enqueue } from '../queue/outbox.js';
import { findRun, lockRun } from '../runs/store.js';
import { transition } from '../runs/transition.js';
import type { RepositoryScope, Services } from './handling.js';
import { mayWrite } from './permissions.js';
import { fetchPullRequest } from './pull-requests.js';
import { repositoryScope } from './repository-scope.js';
import { missing, unmetRequirements } from './requirements.js';
import { shortSha } from './words.js';

/**
 * The outbox's `apply_check`: looks once more whether a pull request's run may be applied, right before it is. If so its
 * apply is queued; if not the run is canceled, and says why. Throws while GitHub can't tell.
 */
export async function recheckApply(services: Services, runId: string): Promise<void> {
  const { db } = services;
  const run = await findRun(db, runId);
  if (run.state !== 'confirmed') return;
  const objection = await objectionTo(await repositoryScope(services, run.repository_id), run);
  await db.transaction().execute((tx) => decide(tx, run.id, objection));
}

async function decide(tx: Tx, runId: string, objection: string | undefined): Promise<void> {
  const run = await lockRun(tx, runId);
  if (run.state !== 'confirmed') return;
  if (objection !== undefined) {
    await transition(tx, run, 'canceled', {}, { detail: objection });
    return;
  }
  const job = { run: run.id, workspace: run.workspace_id, speculative: false, stage: 'apply' as const };
  await enqueue(tx, { kind: 'job', job: { ...job, attempt: run.attempt } });
}

/** Why the run may not be applied, in plain text; undefined when it may. */
async function objectionTo(scope: RepositoryScope, run: Run): Promise<string | undefined> {
  if (run.pull_request === null) return undefined;
  const pullRequest = await fetchPullRequest(scope, run.pull_request);
  const { number, state, head_sha } = pullRequest;
  if (state !== 'open') return `Not applied: #${number} was ${state} meanwhile.`;
  if (head_sha !== run.commit_sha) {
    return `Not applied: the head of #${number} moved from ${shortSha(run.commit_sha)} to ${shortSha(head_sha)} meanwhile.`;
  }
  const approver = run.confirmed_by ?? run.approved_by ?? run.actor;
  if (!(await mayWrite(scope, approver))) return `Not applied: ${approver} has no write access any more.`;
  const workspace = await scope.db
    .selectFrom('workspaces')
    .selectAll()
    .where('id', '=', run.workspace_id)
    .executeTakeFirstOrThrow();
  if (workspace.removed_at !== null) return `Not applied: there is no workspace ${workspace.name} any more.`;
  if (workspace.branch !== pullRequest.base_ref) {
    return `Not applied: ${workspace.name} follows ${workspace.branch}, and #${number} is for ${pullRequest.base_ref} now.`;
  }
  const unmet = await unmetNow(scope, run, workspace, pullRequest);
  return unmet.length > 0 ? `Not applied: ${unmet.join('; ').replaceAll('`', "'")}.` : undefined;
}

/** By the requirements that the run was created with, and by those that were added since. */
async function unmetNow(
  scope: RepositoryScope,
  run: Run,
  workspace: Workspace,
  pullRequest: PullRequest,
): Promise<string[]> {
  const requirements = new Set([...run.settings.applyRequirements, ...workspace.apply_requirements]);
  return missing(await unmetRequirements(scope, pullRequest, requirements), [...requirements]);
}
