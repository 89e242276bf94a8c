import type { Db } from '../db/pool.js';
import type { Stage } from '../db/schema.js';
import { FIRST_BYTES, readOutputPage } from './output-page.js';
import { formatPosition } from './position.js';

export interface OutputBeginning {
  text: string;
  /** Undefined: there is no text yet. */
  position: string | undefined;
  /** There is more of this stage than `text`. */
  more: boolean;
}

/** What a run's page begins with: 64 KiB of the output, the plan's first. Its event stream goes on from the last position. */
export async function outputBeginning(db: Db, run: string): Promise<Record<Stage, OutputBeginning>> {
  const page = await readOutputPage(db, run, undefined, FIRST_BYTES);
  const last = page?.texts.at(-1);
  const next = last && (await readOutputPage(db, run, last, 1));
  const of = (stage: Stage): OutputBeginning => {
    const text = page?.texts.find((found) => found.stage === stage);
    const more = next?.texts.some((following) => following.stage === stage) ?? false;
    return { text: text?.text ?? '', position: text && formatPosition(text), more };
  };
  return { plan: of('plan'), apply: of('apply') };
}
