import { type Check, describe, type Evidence, isFinal, type RunFact } from '../evidence.js';

const HOLDING = ['planning', 'needs_confirmation', 'confirmed', 'applying'];

/** Every run is final or rightly waits, and nothing is left to be done. */
export const endings: Check = (evidence) => {
  const { runs, undone, mishaps } = evidence;
  const stuck = runs.filter((run) => !isFinal(run) && !mayWait(run, evidence));
  return [
    ...stuck.map((run) => `${describe(run)} neither ended nor waits for anything`),
    ...runs.filter((run) => isFinal(run) !== (run.endedAt !== undefined)).map((run) => `${describe(run)} has no end`),
    ...undone.map((line) => `still to be done: ${line}`),
    ...mishaps,
  ];
};

/** For a person; or for another run, a lock, or a pull request. */
function mayWait(run: RunFact, { runs, workspaces }: Evidence): boolean {
  if (run.state === 'needs_confirmation') return true;
  if (run.state !== 'pending' || run.speculative) return false;
  const workspace = workspaces.find(({ name }) => name === run.workspace);
  const holder = runs.some(
    (other) => other.workspace === run.workspace && !other.speculative && HOLDING.includes(other.state),
  );
  return holder || workspace?.lockedAt !== undefined || workspace?.heldFor !== undefined;
}
