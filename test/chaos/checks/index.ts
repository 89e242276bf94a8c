import type { Check } from '../evidence.js';
import { accounting } from './accounting.js';
import { checkRunsEqualTheRecord } from './check-runs.js';
import { commentsEqualTheRecord } from './comments.js';
import { endings } from './endings.js';
import { failuresHaveCauses } from './failures.js';
import { once } from './once.js';
import { order } from './order.js';
import { outcomes } from './outcomes.js';
import { pressesHaveEffects } from './presses.js';
import { pushesHaveRuns } from './pushes.js';
import { stateVersionsInOrder } from './state-versions.js';

/** What must hold, in words, and the check that looks whether it does. */
export const CHECKS: readonly { claim: string; check: Check }[] = [
  { claim: 'every run is final or rightly waits', check: endings },
  { claim: 'no run fails but for a kill that met it', check: failuresHaveCauses },
  { claim: 'one run at a time in each workspace, in order', check: order },
  { claim: 'no resource is applied by two runs at once, nor twice', check: once },
  { claim: 'every begun resource is in the state or named in the report', check: accounting },
  { claim: 'what a run says it did, it did', check: outcomes },
  { claim: 'no state version is out of order or of a strange run', check: stateVersionsInOrder },
  { claim: 'no push without a run, no head without a plan', check: pushesHaveRuns },
  { claim: 'every check run equals the record', check: checkRunsEqualTheRecord },
  { claim: 'every comment equals the record', check: commentsEqualTheRecord },
  { claim: 'no button without an effect', check: pressesHaveEffects },
];
