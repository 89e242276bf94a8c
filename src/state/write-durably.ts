import { open, rename, rm } from 'node:fs/promises';

/** After this the file is there, whole, even if the machine loses power now. What fails leaves no half of it. */
export async function writeDurably(directory: string, path: string, content: Buffer): Promise<void> {
  const draft = `${path}.tmp`;
  try {
    await writeSynced(draft, content);
    await rename(draft, path);
  } catch (error) {
    // On a full disk the half takes room that others need.
    await rm(draft, { force: true }).catch(() => undefined);
    throw error;
  }
  const entries = await open(directory, 'r');
  try {
    await entries.sync();
  } finally {
    await entries.close();
  }
}

/** Whether the disk, or our share of it, is full. */
export function isDiskFull(error: unknown): boolean {
  return ['ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException | undefined)?.code ?? '');
}

async function writeSynced(path: string, content: Buffer): Promise<void> {
  const file = await open(path, 'w', 0o600);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
}
