import type { Session } from '../../signin/session.js';

/** What every page is told beside what it shows. */
export interface PageContext {
  /** The moment at which everything on the page is true. */
  now: Date;
  /** `https://github.com`, or that of a GitHub Enterprise Server. No slash at the end. */
  githubUrl: string;
  /** Signalbox's own. */
  version: string;
  session: Session | undefined;
  /** The address of a style, script or picture, by its name in assets.ts. */
  asset: (name: string) => string;
}
