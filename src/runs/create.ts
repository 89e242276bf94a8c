import { randomBytes } from 'node:crypto';
import type { Tx } from '../db/pool.js';
import type { Run, Trigger, Workspace } from '../db/schema.js';
import { enqueue } from '../queue/outbox.js';
import { enqueueNextRun, lockQueue } from './next.js';
import { addEvent, reportsOf, transition } from './transition.js';

export interface RunRequest {
  workspace: Workspace;
  speculative: boolean;
  trigger: Trigger;
  /** GitHub login. */
  actor: string;
  commitSha: string;
  commitMessage: string;
  /** The branch that the commit was pushed to, or the head branch of the pull request. */
  branch: string;
  pullRequest?: number | undefined;
  /** The speculative run whose plan was reviewed and is approved with this request. */
  reviewedRun?: string | undefined;
  approvedBy?: string | undefined;
  clearsHold?: boolean;
  /** What the actor wrote, where a plan was queued by hand; at most 1,000 characters. */
  message?: string | undefined;
  /** The branch was deleted, and its runs discarded with it, and is there again. */
  branchIsBack?: boolean;
}

/**
 * Creates a run, locked to the commit and to today's settings of its workspace. Where the workspace's newest run of a push
 * is of this commit already, that one is returned. An older one doesn't count: since then the branch was elsewhere and has
 * come back.
 */
export async function createRun(tx: Tx, request: RunRequest): Promise<{ run: Run; created: boolean }> {
  const { workspace } = request;
  if (!request.speculative) await lockQueue(tx, workspace.id);
  if (request.trigger === 'push') {
    const newest = await tx
      .selectFrom('runs')
      .selectAll()
      .where('workspace_id', '=', workspace.id)
      .where('trigger', '=', 'push')
      .orderBy('sequence', 'desc')
      .limit(1)
      .executeTakeFirst();
    const counts = newest?.state !== 'discarded' || !request.branchIsBack;
    if (newest?.commit_sha === request.commitSha && counts) return { run: newest, created: false };
  }
  const run = await tx
    .insertInto('runs')
    .values({
      id: newRunId(),
      workspace_id: workspace.id,
      repository_id: workspace.repository_id,
      speculative: request.speculative,
      trigger: request.trigger,
      actor: request.actor,
      commit_sha: request.commitSha,
      commit_message: request.commitMessage,
      branch: request.branch,
      pull_request: request.pullRequest ?? null,
      settings: JSON.stringify({
        name: workspace.name,
        directory: workspace.directory,
        branch: workspace.branch,
        autoApply: workspace.auto_apply,
        applyRequirements: workspace.apply_requirements,
      }),
      auto_apply: workspace.auto_apply && !request.speculative && request.pullRequest === undefined,
      reviewed_run: request.reviewedRun ?? null,
      approved_by: request.approvedBy ?? null,
      clears_hold: request.clearsHold ?? false,
      message: request.message ?? null,
    })
    .returningAll()
    .executeTakeFirstOrThrow();
  await addEvent(tx, run, 'created', { actor: request.actor });
  await enqueue(tx, ...reportsOf(run));
  if (run.speculative) {
    await enqueue(tx, {
      kind: 'job',
      job: { run: run.id, workspace: workspace.id, speculative: true, stage: 'plan', attempt: 0 },
    });
  } else {
    if (workspace.supersede_pending && run.trigger === 'push') await supersedePending(tx, run);
    await enqueueNextRun(tx, workspace.id);
  }
  return { run, created: true };
}

async function supersedePending(tx: Tx, successor: Run): Promise<void> {
  const older = await tx
    .selectFrom('runs')
    .selectAll()
    .where('workspace_id', '=', successor.workspace_id)
    .where('state', '=', 'pending')
    .where('trigger', '=', 'push')
    .where('speculative', '=', false)
    .where('sequence', '<', successor.sequence)
    // The newest first: else each end would queue the next one.
    .orderBy('sequence', 'desc')
    .forUpdate()
    .execute();
  for (const run of older) {
    const reason = `Superseded by ${successor.id}, a newer push to ${successor.branch}.`;
    await transition(tx, run, 'discarded', { reason }, { columns: { superseded_by: successor.id } });
  }
}

/** `run-` and 16 letters and digits: short enough for BullMQ's job ids and GitHub's `external_id`, without a `:`. */
function newRunId(): string {
  const alphabet = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';
  let id = '';
  while (id.length < 16) {
    for (const byte of randomBytes(24)) {
      // 58 letters four times over: bytes beyond would favour the first ones.
      if (byte < 232 && id.length < 16) id += alphabet[byte % 58];
    }
  }
  return `run-${id}`;
}
