import { Probot } from 'probot';
import { createApp, webhookEvents } from './app.js';
import type { AppCredentials, Config } from './config.js';
import type { OpenRecord } from './db/record.js';
import type { Mirrors } from './git/mirror.js';
import { DeliveryProcessor } from './github/deliveries.js';
import { createMint, type Mint, serveTokens } from './github/git-tokens.js';
import type { Services } from './github/handling.js';
import { receiver } from './github/looks.js';
import { MissedWebhooks } from './github/missed-webhooks.js';
import { recheckApply } from './github/recheck.js';
import { answerWebhook } from './github/webhook.js';
import type { Log } from './log.js';
import { type InstallationOctokit, type OctokitFor, octokitClass } from './octokit.js';
import { Complaints } from './queue/complaints.js';
import type { Gate } from './queue/gate.js';
import type { EffectHandlers } from './queue/outbox-pump.js';
import { githubBudgets } from './reports/github-standing.js';
import { createReports } from './reports/publisher.js';
import type { Encryption } from './variables/encryption.js';
import type { ReceiveWebhook } from './web/server.js';

/** Repositories whose deliveries are handled at once. */
const DELIVERY_CONCURRENCY = 8;

/** The App, signed in to GitHub. */
export interface SignedInApp {
  probot: Probot;
  /** Signed in as the App itself, not as one of its installations. */
  app: InstallationOctokit;
  octokitFor: OctokitFor;
  mint: Mint;
  /** The App's own account, `<slug>[bot]`. */
  botLogin: () => Promise<string>;
}

/**
 * Probot with explicit options: what it would read from the environment by itself has traps (a secret of its own when none
 * is set, calls that hang while the queue's Redis is away).
 */
export async function signIn(
  config: Config,
  credentials: AppCredentials,
  record: OpenRecord,
  log: Log,
): Promise<SignedInApp> {
  const probot = new Probot({
    appId: credentials.id,
    privateKey: credentials.privateKey,
    secret: credentials.webhookSecret,
    baseUrl: config.githubApiUrl,
    Octokit: octokitClass(config),
    log: log.child({ name: 'probot' }, { level: 'warn' }),
  });
  await probot.ready();
  const app = await probot.auth();
  let slug: Promise<string> | undefined;
  return {
    probot,
    app,
    octokitFor: async (installation, { fresh } = { fresh: false }) => {
      const octokit = await probot.auth(installation);
      if (fresh) await octokit.auth({ type: 'installation', installationId: installation, refresh: true });
      return octokit;
    },
    mint: createMint(record.db, app),
    // Asked for when it is first needed: GitHub may be away when Signalbox starts.
    botLogin: () => {
      slug ??= app.rest.apps.getAuthenticated().then(({ data }) => `${data?.slug}[bot]`);
      slug.catch(() => {
        slug = undefined;
      });
      return slug;
    },
  };
}

export interface WebRole {
  receiveWebhook: ReceiveWebhook;
  /** What pages need to ask GitHub for somebody: see pressOnPage, queuePlan, inRepository. */
  services: Services;
  /** What it does of what the outbox has. */
  handlers: EffectHandlers;
  /** What of that can't be done for now. */
  gate: Gate;
  /** To be called when webhooks can arrive: those that were missed are asked for. */
  lookForMissed: () => void;
  /** What GitHub lets it write, by installation. */
  githubBudget: () => ReturnType<typeof githubBudgets>;
  stop(): Promise<void>;
}

/** Starts what talks with GitHub in this process. */
export async function startWebRole(options: {
  config: Config;
  app: AppCredentials;
  signedIn: SignedInApp;
  record: OpenRecord;
  encryption: Encryption;
  mirrors: Mirrors;
  publicUrl: string;
  log: Log;
}): Promise<WebRole> {
  const { config, app, signedIn, record, encryption, mirrors, publicUrl, log } = options;
  const { probot, octokitFor, mint, botLogin } = signedIn;
  const { db, notifications } = record;
  const services = { db, mirrors, appId: app.id, app: signedIn.app, octokitFor, log };
  await probot.load(createApp(services));
  const deliveries = new DeliveryProcessor({
    db,
    notifications,
    receive: receiver(services, (event) => probot.receive(event)),
    log,
    concurrency: DELIVERY_CONCURRENCY,
  });
  deliveries.start();
  const complaints = new Complaints(log);
  const reports = createReports({ db, octokitFor, config: { ...config, publicUrl }, log, botLogin });
  const missed = new MissedWebhooks({ services, notifications, events: webhookEvents });
  const stopServingTokens = serveTokens({ db, encryption, notifications, mint, log });
  return {
    receiveWebhook: (request) =>
      answerWebhook(
        {
          db,
          verify: (body, signature) => probot.webhooks.verify(body, signature),
          events: webhookEvents,
          log,
          complaints,
        },
        request,
      ),
    services,
    handlers: {
      ...reports.handlers,
      apply_check: ({ run }) => recheckApply(services, run),
    },
    gate: reports.gate,
    lookForMissed: () => missed.start(),
    githubBudget: () =>
      githubBudgets(db, { perMinute: config.githubContentPerMinute, perHour: config.githubContentPerHour }),
    stop: async () => {
      await missed.stop();
      await deliveries.stop();
      await stopServingTokens();
    },
  };
}
