import type { Db } from '../db/pool.js';
import type { Run, Stage } from '../db/schema.js';
import { ColourStripper } from '../terraform/colour.js';
import { readOutputPage } from './output-page.js';
import type { Position } from './position.js';

/**
 * `GET /runs/<id>/plan.txt` and `apply.txt`: what the stage's last attempt has printed by now, without colour, as a file.
 * Of a stage that hasn't begun that is an empty text: the address is right, and there may be more later. 410: it was
 * removed because of its age.
 */
export async function rawOutput(db: Db, run: Pick<Run, 'id' | 'output_removed_at'>, stage: Stage): Promise<Response> {
  const headers = {
    'Content-Type': 'text/plain; charset=utf-8',
    'X-Content-Type-Options': 'nosniff',
    'Cache-Control': 'no-store',
  };
  if (run.output_removed_at !== null) {
    const text = `The output of this run was removed on ${run.output_removed_at.toISOString().slice(0, 10)} because of its age.\n`;
    return new Response(text, { status: 410, headers });
  }
  const texts = withoutColour(textsOf(db, run.id, stage));
  const encoder = new TextEncoder();
  // What fails from the beginning is an error of the request's, not of its answer's.
  let next: Promise<IteratorResult<string, void>> | undefined = Promise.resolve(await texts.next());
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await (next ?? texts.next()).catch(() => {
          // Its words go out to the network.
          throw new Error('The rest of this output could not be read.');
        });
        next = undefined;
        if (done) controller.close();
        else controller.enqueue(encoder.encode(value));
      },
      cancel: () => void texts.return(undefined),
    },
    { highWaterMark: 0 },
  );
  return new Response(body, { headers });
}

/** Page after page, each read when the one before has been taken. */
async function* textsOf(db: Db, run: string, stage: Stage): AsyncGenerator<string, void> {
  // Before the first piece of any attempt of an apply: the plan's output is passed over.
  let position: Position | undefined = stage === 'apply' ? { stage, attempt: -1, sequence: -1 } : undefined;
  for (let first = true; ; first = false) {
    const page = await readOutputPage(db, run, position);
    const [text] = page?.texts ?? [];
    if (text?.stage !== stage) return;
    // Another attempt has begun since: what was sent can't be taken back.
    if (!first && text.attempt !== position?.attempt) return;
    yield text.text;
    position = text;
  }
}

async function* withoutColour(texts: AsyncGenerator<string, void>): AsyncGenerator<string, void> {
  const stripper = new ColourStripper();
  for await (const text of texts) {
    const plain = stripper.push(text);
    if (plain !== '') yield plain;
  }
  const rest = stripper.end();
  if (rest !== '') yield rest;
}
