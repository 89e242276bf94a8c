import type { Tx } from '../db/pool.js';
import { enqueue } from '../queue/outbox.js';
import { cancelRun } from '../runs/actions.js';
import { createRun } from '../runs/create.js';
import { affectedBy } from '../workspaces/sync.js';
import type { Received } from './handling.js';
import { type Head, lookAtHead } from './head.js';
import { takeSettings } from './settings.js';

/** A merge queue asks what a group of pull requests would change: speculative runs, summed up on the group's head. */
export async function mergeGroup(event: Received<'merge_group'>): Promise<void> {
  const { payload } = event;
  const group = payload.merge_group;
  if (payload.action === 'destroyed') {
    return event.commit((tx) => endRuns(tx, event.repository.id, group.head_sha));
  }
  const head = await lookAtHead(event, { base: group.base_sha, sha: group.head_sha });
  if (!head) return;
  await event.commit((tx) => planGroup(tx, event, head));
}

async function planGroup(tx: Tx, { repository, payload }: Received<'merge_group'>, head: Head): Promise<void> {
  const group = payload.merge_group;
  const base = branchName(group.base_ref);
  const following = (await takeSettings(tx, head.settings)).filter((workspace) => workspace.branch === base);
  const affected = affectedBy(following, head.changed);
  const row = { base_ref: base, affected: affected.map(({ id }) => id) };
  await tx
    .insertInto('merge_groups')
    .values({ repository_id: repository.id, head_sha: head.sha, ...row })
    .onConflict((conflict) => conflict.columns(['repository_id', 'head_sha']).doUpdateSet(row))
    .execute();
  for (const workspace of affected) {
    const earlier = await tx
      .selectFrom('runs')
      .select('id')
      .where('workspace_id', '=', workspace.id)
      .where('commit_sha', '=', head.sha)
      .where('trigger', '=', 'merge_group')
      .where('state', 'not in', ['discarded', 'canceled'])
      .executeTakeFirst();
    if (earlier) continue;
    await createRun(tx, {
      workspace,
      speculative: true,
      trigger: 'merge_group',
      actor: payload.sender?.login ?? 'github-merge-queue[bot]',
      commitSha: head.sha,
      commitMessage: group.head_commit.message,
      branch: branchName(group.head_ref),
    });
  }
  await enqueue(tx, { kind: 'head_report', repository: repository.id, sha: head.sha });
}

async function endRuns(tx: Tx, repository: number, sha: string): Promise<void> {
  const runs = await tx
    .selectFrom('runs')
    .selectAll()
    .where('repository_id', '=', repository)
    .where('commit_sha', '=', sha)
    .where('trigger', '=', 'merge_group')
    .where('ended_at', 'is', null)
    .execute();
  for (const run of runs) await cancelRun(tx, run, 'The merge queue dropped this group.');
}

function branchName(ref: string): string {
  return ref.replace(/^refs\/heads\//, '');
}
