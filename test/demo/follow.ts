import { setTimeout as sleep } from 'node:timers/promises';
import { checkRunLine } from './check-run-card.js';
import type { Place } from './place.js';

const LOOK_EVERY_MS = 100;

/** Tells of each check run that begins or changes from now on, for ever. */
export async function follow({ github, infra }: Place, tell: (line: string) => void): Promise<never> {
  const lines = () => new Map(github.checkRuns(infra).map((run) => [run.id, `${checkRunLine(run)}`]));
  for (let told = lines(); ; ) {
    await sleep(LOOK_EVERY_MS);
    const present = lines();
    for (const [id, line] of present) if (told.get(id) !== line) tell(line);
    told = present;
  }
}
