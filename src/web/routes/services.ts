import type { Db } from '../../db/pool.js';
import type { Services } from '../../github/handling.js';
import type { EventStreams } from '../../live/event-stream.js';
import type { Log } from '../../log.js';
import type { ShownPlans } from '../../runs/shown-plan.js';
import type { Session } from '../../signin/session.js';
import type { SignIn } from '../../signin/sign-in.js';
import type { Encryption } from '../../variables/encryption.js';
import type { Assets } from '../assets.js';

/** What the pages need. */
export interface PageServices {
  db: Db;
  log: Log;
  encryption: Encryption;
  version: string;
  /** No slash at its end, nor at that of the next one. */
  githubUrl: string;
  publicUrl: string;
  /** Undefined: the App's client id and secret aren't set. */
  signIn: SignIn | undefined;
  assets: Assets;
  streams: EventStreams;
  plans: ShownPlans;
  /** For asking GitHub in the name of the App, which a control may have to. */
  github: Services;
  /** Where on GitHub the App is installed. Undefined: GitHub doesn't say. */
  installUrl: () => Promise<string | undefined>;
}

/** What the routes of a person who is signed in find in their context. */
export interface PagesEnv {
  Variables: { session: Session };
}
