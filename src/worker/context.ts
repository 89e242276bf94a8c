import type { Config } from '../config.js';
import type { Notifications } from '../db/notifications.js';
import type { Db } from '../db/pool.js';
import type { Run } from '../db/schema.js';
import type { Mirrors } from '../git/mirror.js';
import type { Log } from '../log.js';
import type { SavedState } from '../state/saved-state.js';
import type { StateServer } from '../state/state-server.js';
import type { Terraform } from '../terraform/install.js';
import type { Encryption } from '../variables/encryption.js';
import type { Confinement } from './confinement.js';
import type { Patience } from './patience.js';
import type { WorkDirectories } from './work-directory.js';

/** What a stage needs of the process that it runs in. */
export interface WorkerContext {
  db: Db;
  notifications: Notifications;
  encryption: Encryption;
  mirrors: Mirrors;
  stateServer: StateServer;
  workDirectories: WorkDirectories;
  /** Found or downloaded at first use. Throws TerraformUnavailableError. */
  terraform: () => Promise<Terraform>;
  config: Pick<Config, 'workerName' | 'dataDirectory' | 'runEnv' | 'planEnv' | 'planTimeout' | 'applyTimeout'>;
  savedState: SavedState;
  /** Sandbox and limits of what runs. */
  confinement: Confinement;
  log: Log;
  patience: Patience;
  /** Repeats what writes to the record until the record can be reached. */
  untilRecorded: <T>(write: () => Promise<T>) => Promise<T>;
  /** After a restart: a run's Terraform finds its state where it was. */
  serveStateAgain: (run: Run, control: string) => Promise<void>;
}
