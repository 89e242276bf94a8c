import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Run } from '../db/schema.js';

/** Whose a run's directory is, by what stands in it: which attempt of which run, and which worker is at it. */
export interface Owner {
  run: string;
  attempt: number;
  worker: string | null;
}

export type Owning = Pick<Run, 'id' | 'attempt' | 'worker_id'>;

export async function noteOwner(control: string, { id: run, attempt, worker_id: worker }: Owning): Promise<void> {
  await writeFile(join(control, 'owner'), JSON.stringify({ run, attempt, worker } satisfies Owner), { mode: 0o600 });
}

export async function ownerOf(control: string): Promise<Owner | undefined> {
  try {
    return JSON.parse(await readFile(join(control, 'owner'), 'utf8')) as Owner;
  } catch {
    return undefined;
  }
}

/** Whether somebody else has had the directory since: nobody's counts as still one's own. */
export async function hasAnotherOwner(control: string, { id, attempt, worker_id }: Owning): Promise<boolean> {
  const owner = await ownerOf(control);
  return owner !== undefined && !(owner.run === id && owner.attempt === attempt && owner.worker === worker_id);
}
