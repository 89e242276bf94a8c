import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { stateDirectory } from '../state/registered-run.js';
import { countSnapshots } from '../state/state-journal.js';
import { type Metric, single } from './metric.js';

export interface StateOnDisk {
  /** Snapshots of state on their way into the record. */
  waiting: number;
  /** What was set aside because no run's end could bring it there: somebody has to look at it. */
  kept: number;
}

/** State that this machine has and the record may not have, under a worker's directory of work. */
export async function stateOnDisk(workRoot: string): Promise<StateOnDisk> {
  const [places, kept] = await Promise.all([namesIn(workRoot), namesIn(join(workRoot, 'kept'))]);
  const counts = await Promise.all(
    places.map((place) => countSnapshots(stateDirectory(join(workRoot, place, 'control')))),
  );
  return { waiting: counts.reduce((sum, count) => sum + count, 0), kept: kept.length };
}

export function diskMetrics({ waiting, kept }: StateOnDisk): Metric[] {
  return [
    single(
      'gauge',
      'signalbox_state_snapshots_waiting',
      "Snapshots of state on this worker's disk that are not known to be in the record.",
      waiting,
    ),
    single(
      'gauge',
      'signalbox_state_kept',
      'States that were set aside in DATA_DIR/work/kept, for somebody to look at.',
      kept,
    ),
  ];
}

async function namesIn(directory: string): Promise<string[]> {
  return readdir(directory).catch(() => []);
}
