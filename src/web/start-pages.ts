import type { Hono } from 'hono';
import type { Config } from '../config.js';
import type { Notifications } from '../db/notifications.js';
import type { Db } from '../db/pool.js';
import type { Services } from '../github/handling.js';
import { EventStreams } from '../live/event-stream.js';
import { LiveRuns } from '../live/live-runs.js';
import type { Log } from '../log.js';
import { ShownPlans } from '../runs/shown-plan.js';
import { SignIn } from '../signin/sign-in.js';
import type { Encryption } from '../variables/encryption.js';
import { loadAssets } from './assets.js';
import { findInstallUrl } from './install-url.js';
import { createPages } from './routes/pages.js';
import type { PagesEnv } from './routes/services.js';

export interface Pages {
  app: Hono<PagesEnv>;
  /** Ends the streams that are open: before the server is closed, which waits for them. */
  close(): void;
}

/** Puts together what the pages are made with. Throws when the project isn't built. */
export async function startPages(options: {
  config: Config;
  db: Db;
  notifications: Notifications;
  encryption: Encryption;
  github: Services;
  publicUrl: string;
  version: string;
  log: Log;
}): Promise<Pages> {
  const { config, db, notifications, encryption, github, publicUrl, version, log } = options;
  const { client, githubUrl } = config;
  const live = new LiveRuns({ db, notifications });
  const streams = new EventStreams({
    live,
    onError: (error, run) => log.warn({ err: error, run }, 'What an open page follows could not be read'),
  });
  const app = createPages({
    db,
    log,
    encryption,
    version,
    githubUrl,
    publicUrl,
    signIn: client && new SignIn({ db, encryption, client, config, publicUrl, log }),
    assets: await loadAssets(),
    streams,
    plans: new ShownPlans(db, encryption, (error, run) => log.error({ err: error, run }, 'A plan could not be shown')),
    github,
    installUrl: findInstallUrl(github.app),
  });
  return {
    app,
    close: () => {
      streams.close();
      live.close();
    },
  };
}
