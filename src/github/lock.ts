import type { Tx } from '../db/pool.js';
import type { Workspace } from '../db/schema.js';
import { holdStill, lockWorkspace, mayUnlock, unlockWorkspace } from '../workspaces/lock.js';
import type { Outcome } from './apply.js';
import type { Answer, CommandRequest } from './command-request.js';
import { endHold } from './hold.js';
import { code, enumerate, moment } from './words.js';

/** Locks the workspaces that were named, or those that the pull request affects. */
export async function lockWorkspaces(tx: Tx, request: CommandRequest): Promise<Answer> {
  const { actor, named, reason = null } = request;
  const workspaces = concerned(request);
  if (workspaces.length === 0) return { refused: noneConcerned(request) };
  const outcomes: Outcome[] = [];
  for (const { id, name } of workspaces) {
    const locked = await lockWorkspace(tx, id, { by: actor, reason });
    if (locked) outcomes.push({ workspace: name, done: true });
    else outcomes.push(refuse(name, `is locked already: ${describeLock(await holdStill(tx, id))}`));
  }
  const done = outcomes.filter((outcome) => outcome.done).map(({ workspace }) => code(workspace));
  // Where the names end and the reason begins was our reading.
  const told = named && reason !== null && done.length > 1 ? [`Locked ${enumerate(done)}: ${code(reason)}.`] : [];
  return { outcomes, named: true, told };
}

/**
 * Ends locks: one's own, and for administrators everybody's. Where there is no lock but a hold for a pull request, that
 * ends. Without names it is about what is locked of what the pull request affects, and about holds if nothing is: who
 * thinks of a lock may know of no hold.
 */
export async function unlockWorkspaces(tx: Tx, request: CommandRequest, isAdmin: boolean): Promise<Answer> {
  const candidates = concerned(request);
  if (candidates.length === 0) return { refused: noneConcerned(request) };
  const present: Workspace[] = [];
  for (const { id } of candidates) present.push(await holdStill(tx, id));
  const onlyLocks = !request.named && present.some(({ locked_at }) => locked_at !== null);
  // Whoever commands has write.
  const person = { login: request.actor, access: isAdmin ? ('admin' as const) : ('write' as const) };
  const outcomes: Outcome[] = [];
  const told: string[] = [];
  for (const workspace of present) {
    const { id, name } = workspace;
    if (workspace.locked_at === null && (onlyLocks || workspace.held_pull_request === null)) {
      if (request.named) outcomes.push(refuse(name, "isn't locked"));
      continue;
    }
    if (workspace.locked_at === null) {
      await endHold(tx, workspace);
      told.push(
        `${code(name)} isn't held for #${workspace.held_pull_request} any more: what waits goes on, and doesn't apply by itself.`,
      );
    } else if (mayUnlock(workspace, person)) {
      await unlockWorkspace(tx, id);
      if (workspace.held_pull_request !== null) told.push(stillHeld(workspace));
    } else {
      outcomes.push(
        refuse(name, `can't be unlocked by ${request.actor}: ${describeLock(workspace)}; ${whoMay(workspace)}`),
      );
      continue;
    }
    outcomes.push({ workspace: name, done: true });
  }
  if (outcomes.length === 0) {
    return {
      refused: `No workspace that #${request.pullRequest.number} affects is locked: name the one that you mean.`,
    };
  }
  return { outcomes, named: true, told };
}

function concerned({ named, workspaces, pullRequest }: CommandRequest): Workspace[] {
  return workspaces.filter(({ id }) => named || pullRequest.affected?.includes(id));
}

function noneConcerned({ verb, pullRequest: { number, affected } }: CommandRequest): string {
  const why = affected === null ? `Which workspaces #${number} affects isn't known` : `#${number} affects no workspace`;
  return `${why}: name those to \`${verb}\`.`;
}

function refuse(workspace: string, reason: string): Outcome {
  return { workspace, done: false, reason };
}

function describeLock({ locked_at, locked_by, lock_reason, lock_run }: Workspace): string {
  const when = locked_at === null ? '' : ` on ${moment(locked_at)}`;
  const because = lock_run === null ? '' : ` because of ${lock_run}`;
  return `${locked_by ?? 'Signalbox'} locked it${when}${because}${lock_reason ? `, ${code(lock_reason, 300)}` : ''}`;
}

function whoMay({ locked_by }: Workspace): string {
  const admin = 'somebody with admin access to this repository';
  return `${locked_by === null ? admin : `${locked_by}, or ${admin},`} can unlock it`;
}

function stillHeld({ name, held_pull_request }: Workspace): string {
  return `${code(name)} is unlocked, and still held for #${held_pull_request}, which was applied and isn't merged: \`unlock ${name}\` again ends that too.`;
}
