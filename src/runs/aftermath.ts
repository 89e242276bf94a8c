import type { Run } from '../db/schema.js';

export const INCOMPLETE = 'The state may be incomplete: Terraform had no time to save what it had done.';

/**
 * What a run that ended early left behind, in a sentence; empty where nobody can say. `begun`: whether its apply was.
 */
export function aftermathOf(run: Pick<Run, 'progress' | 'force_cancel_requested_at'>, begun: boolean): string {
  if (!begun) return 'Nothing was applied.';
  if (run.progress?.stateKept)
    return 'Its last state is not in the backend yet: the sentence on where it is kept says how to hand it in.';
  if (run.force_cancel_requested_at !== null || run.progress?.unsaved) return INCOMPLETE;
  return run.progress === null ? '' : 'What was applied until then is in the state.';
}
