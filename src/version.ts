import { readFile } from 'node:fs/promises';

const PACKAGE = new URL('../package.json', import.meta.url);

/** This program's version. */
export async function version(): Promise<string> {
  return (JSON.parse(await readFile(PACKAGE, 'utf8')) as { version: string }).version;
}
