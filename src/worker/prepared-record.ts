import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { writeDurably } from '../state/write-durably.js';
import { createMask } from '../variables/masking.js';
import type { ActiveRun } from './active-run.js';
import { OutputLog } from './output-log.js';
import type { Prepared } from './preparation.js';
import type { Manifest } from './work-files.js';

/*
 * What a stage in progress is made of, on disk beside it, so that a later process of this worker can take it up. Sealed: it
 * has the environment, with the credentials for the state.
 */

const record = z.object({
  terraform: z.object({ path: z.string(), version: z.string() }),
  module: z.string(),
  environment: z.record(z.string(), z.string()),
  masked: z.array(z.string()),
  preamble: z.string(),
  ownBackend: z.string().optional(),
  tree: z.string(),
  stateLeftOut: z.boolean(),
  manifest: z.record(z.string(), z.string()),
});

/**
 * Kept before the stage's Terraform begins. An apply's survives a power failure: where there is none, the apply was certainly
 * never begun.
 */
export async function keepPrepared(active: ActiveRun, prepared: Prepared, manifest: Manifest = {}): Promise<void> {
  const { directory, mask: _, log: __, ...facts } = prepared;
  const { encryption } = active.worker;
  const sealed = encryption.seal(placeOf(active), Buffer.from(JSON.stringify({ ...facts, manifest })));
  const file = fileOf(active, directory.control);
  if (active.stage === 'apply') await writeDurably(directory.control, file, sealed);
  else await writeFile(file, sealed, { mode: 0o600 });
}

/** What an earlier process of ours has kept of this stage; undefined where it didn't come so far. */
export async function readPrepared(active: ActiveRun): Promise<{ prepared: Prepared; manifest: Manifest } | undefined> {
  const { run, worker, stage } = active;
  const directory = worker.workDirectories.of(run);
  const sealed = await readFile(fileOf(active, directory.control)).catch(() => undefined);
  if (!sealed) return undefined;
  const { manifest, ownBackend, ...facts } = record.parse(
    JSON.parse(worker.encryption.open(placeOf(active), sealed).toString()),
  );
  const mask = createMask(facts.masked);
  const log = await worker.untilRecorded(() => OutputLog.resume(worker.db, run, stage, mask));
  log.append(facts.preamble);
  return { prepared: { ...facts, ownBackend, directory, mask, log }, manifest };
}

function placeOf({ run, stage }: ActiveRun): string {
  return `prepared/${run.id}/${stage}/${run.attempt}`;
}

function fileOf({ run, stage }: ActiveRun, control: string): string {
  return join(control, `${run.attempt}-${stage}.prepared`);
}
