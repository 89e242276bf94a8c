import { tsImport } from 'tsx/esm/api';

/** Jest runs this file as it is, without its transforms: tsx reads the TypeScript. */
export default async function globalSetup() {
  const { startTestPostgres } = await tsImport('./postgres.ts', import.meta.url);
  globalThis.stopTestPostgres = await startTestPostgres();
}
