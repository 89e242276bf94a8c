import type { Db } from '../../db/pool.js';
import type { Session } from '../../signin/session.js';
import type { SignIn } from '../../signin/sign-in.js';
import type { LiveRuns } from '../../live/live-runs.js';
import type { Log } from '../../log.js';
import type { SavedState } from '../../state/saved-state.js';

/** What the pages need. */
export interface PageServices {
  db: Db;
  log: Log;
  version: string;
  /** No slash at its end. */
  githubUrl: string;
  publicUrl: string;
  /** Undefined: the App's client id and secret aren't set, and pages show nothing but how to set them. */
  signIn: SignIn | undefined;
  live: LiveRuns;
  savedState: SavedState;
}

/** What the middleware leaves for the routes. */
export interface PagesEnv {
  Variables: { session: Session };
}
