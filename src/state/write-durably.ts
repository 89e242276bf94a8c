import { open, rename } from 'node:fs/promises';

/** After this the file is there, whole, even if the machine loses power now. */
export async function writeDurably(directory: string, path: string, content: Buffer): Promise<void> {
  const draft = `${path}.tmp`;
  const file = await open(draft, 'w', 0o600);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(draft, path);
  const entries = await open(directory, 'r');
  try {
    await entries.sync();
  } finally {
    await entries.close();
  }
}
