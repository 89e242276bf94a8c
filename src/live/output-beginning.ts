import type { Db } from '../db/pool.js';
import type { Stage } from '../db/schema.js';
import { type OutputText, PAGE_BYTES, readOutputPage } from './output-page.js';

/** The beginning of a run's output. */
export interface OutputBeginning {
  /** By stage: what there is of its last attempt. */
  texts: Map<Stage, OutputText>;
  /** The last one of them goes on. */
  more: boolean;
}

/** Reads up to 256 KiB: the plan's output, and, where that leaves room, the apply's. */
export async function readOutputBeginning(db: Db, run: string): Promise<OutputBeginning> {
  const texts = new Map<Stage, OutputText>();
  let last: OutputText | undefined;
  for (let bytes = 0; bytes < PAGE_BYTES; ) {
    const page = await readOutputPage(db, run, last);
    if (!page || page.texts.length === 0) return { texts, more: false };
    for (const text of page.texts) {
      const known = texts.get(text.stage);
      // Another attempt begins anew.
      const before = known?.attempt === text.attempt ? known.text : '';
      last = { ...text, text: before + text.text };
      texts.set(text.stage, last);
      bytes += Buffer.byteLength(text.text);
    }
  }
  return { texts, more: ((await readOutputPage(db, run, last))?.texts.length ?? 0) > 0 };
}
