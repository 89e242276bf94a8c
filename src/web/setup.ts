import { readFileSync } from 'node:fs';
import { copyFile, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { run } from 'probot';
import { parse, stringify } from 'yaml';
import type { Config } from '../config.js';
import type { Log } from '../log.js';
import { callbackUrl } from '../signin/sign-in.js';

const CREDENTIALS_FILE = 'app.env';
/** The App and the program, as this repository describes them. */
const MANIFEST = new URL('../../app.yml', import.meta.url);
const PACKAGE = new URL('../../package.json', import.meta.url);

/** Where the set-up page leaves the credentials of the App that it registered: readable by this user only. */
export function credentialsFile(dataDirectory: string): string {
  return join(dataDirectory, CREDENTIALS_FILE);
}

/** Adds to the environment what the set-up page has left; what is set already wins. */
export function loadCredentials(dataDirectory: string): void {
  try {
    process.loadEnvFile(credentialsFile(dataDirectory));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

/**
 * Serves Probot's set-up page, which registers the App from app.yml, until the process is ended. Three of its habits are
 * not taken over: it doesn't ask smee.io for a channel, GitHub gets the address where webhooks are served, and the file
 * with the key isn't readable by all. Listens on loopback unless HOST says otherwise: whoever reaches this page decides
 * which App this server belongs to.
 *
 * Probot reads app.yml, package.json and .env in the working directory, so the process moves to one that has the first two,
 * with the addresses of this server, and never the third. Nothing else runs in it.
 */
export async function serveSetup(config: Config, log: Log): Promise<{ stop(): Promise<void> }> {
  const publicUrl = config.publicUrl ?? `http://localhost:${config.port}`;
  // Probot shows no set-up page in production: but this server has no App yet, whatever it is meant for.
  process.env.NODE_ENV = 'development';
  // In production Probot refuses to register an App.
  delete process.env.NODE_ENV;
  process.env.NO_SMEE_SETUP = 'true';
  process.env.WEBHOOK_PROXY_URL = `${publicUrl}/api/github/webhooks`;
  const host = config.host ?? 'localhost';
  const file = credentialsFile(config.dataDirectory);
  log.info(`No App yet: open ${publicUrl} to register one on ${config.githubUrl}, then start Signalbox again.`);
  if (config.publicUrl === undefined) {
    log.warn(
      `PUBLIC_URL is not set: GitHub will send webhooks to ${process.env.WEBHOOK_PROXY_URL}, which only this machine can reach`,
    );
  }
  process.chdir(await describeApp(join(config.dataDirectory, 'setup'), publicUrl));
  return run(() => undefined, {
    env: { PORT: String(config.port), HOST: host },
    log: log.child({ name: 'setup' }, { level: 'warn' }),
    updateEnv: (values) => {
      saveCredentials(file, values).then(
        () => log.info(`The App is registered; its credentials are in ${file}. Start Signalbox again to use them.`),
        (error: Error) =>
          log.error(`The App is registered, but its credentials can't be written to ${file}: ${error.message}`),
      );
      return values;
    },
  });
}

/** Yields the directory. What its app.yml has of its own is where people come back to after signing in. */
async function describeApp(directory: string, publicUrl: string): Promise<string> {
  const manifest = parse(await readFile(MANIFEST, 'utf8')) as Record<string, unknown>;
  await mkdir(directory, { recursive: true });
  await copyFile(PACKAGE, join(directory, 'package.json'));
  await writeFile(join(directory, 'app.yml'), stringify({ ...manifest, callback_urls: [callbackUrl(publicUrl)] }));
  return directory;
}

async function saveCredentials(file: string, values: Record<string, string | undefined>): Promise<void> {
  const merged = { ...readCredentials(file), ...values };
  const lines = Object.entries(merged).map(
    ([name, value = '']) => `${name}="${value.replace(/^"|"$/g, '').replaceAll('\n', '\\n')}"`,
  );
  await writeFile(`${file}.new`, `${lines.join('\n')}\n`, { mode: 0o600 });
  await rename(`${file}.new`, file);
}

function readCredentials(file: string): Record<string, string | undefined> {
  try {
    return parseEnv(readFileSync(file, 'utf8')) as Record<string, string | undefined>;
  } catch {
    return {};
  }
}
