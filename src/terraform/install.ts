import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { access, chmod, constants, mkdir, mkdtemp, rename, rm, stat } from 'node:fs/promises';
import { delimiter, isAbsolute, join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { openPromise } from 'yauzl';
import { withLock } from './lock.js';

/** The version that is downloaded where there is none. */
export const PINNED_VERSION = '1.11.4';

/** `init -json` came with this one. */
const OLDEST = [1, 9] as const;
const RELEASES = 'https://releases.hashicorp.com';

/**
 * SHA-256 of the pinned version's zip files, as HashiCorp publishes them in `terraform_1.11.4_SHA256SUMS`. Gathered from several
 * package managers' definitions, which agree; the program inside the first was compared with one that had been installed.
 */
const CHECKSUMS: Readonly<Record<string, string>> = {
  linux_amd64: '1ce994251c00281d6845f0f268637ba50c0005657eb3cf096b92f753b42ef4dc',
  linux_arm64: 'a43d1d0da9b9bab214a8305a39db0e40869572594ccf50c416a7756499143633',
  darwin_amd64: 'a56d5002b9f7647291faccc3dd1a70350e60fb61e4c45037629508b8fdc2575b',
  darwin_arm64: '867e0808fa971217043e25b7a792b10720c79b1546f8a68479b74f138be73e18',
};

/** The zip is 27 MB: anything much larger isn't it. In bytes. */
const LARGEST_DOWNLOAD = 200 * 1024 * 1024;
/** A download that takes longer, in ms, isn't going to end. */
const DOWNLOAD_PATIENCE = 10 * 60_000;
/** Waits before another attempt after a failure that may pass, in ms. */
const RETRIES = [500, 2_000];

/** A Terraform that can be run. */
export interface Terraform {
  /** Absolute. */
  path: string;
  /** Like `1.11.4`. */
  version: string;
}

export interface FindOptions {
  /** Where to look, as in the environment variable PATH. */
  path: string;
  /** Where a downloaded one is kept. */
  dataDirectory: string;
  /** What serves `/terraform/<version>/terraform_<version>_<os>_<arch>.zip`. Default: HashiCorp's releases. */
  releasesUrl?: string;
  /** Checksums to expect instead of the pinned ones, by `<os>_<arch>`: for tests, and for a mirror of another build. */
  checksums?: Readonly<Record<string, string>>;
}

/** There is no Terraform that can be used. The message says why and what would help. */
export class TerraformUnavailableError extends Error {
  override name = 'TerraformUnavailableError';
}

/**
 * Finds a Terraform: the one on the path, or else the pinned version, downloaded once. What is downloaded is trusted for its
 * SHA-256, which is pinned in this file, not for where it came from: a mirror will do. Signatures are not looked at.
 *
 * A proxy in the environment is used for the download only if Node was told to (`NODE_USE_ENV_PROXY`).
 *
 * @throws TerraformUnavailableError
 */
export async function findTerraform(options: FindOptions): Promise<Terraform> {
  const onPath = await lookUp('terraform', options.path);
  if (onPath === undefined) return download(options);
  const version = await askVersion(onPath);
  if (!isRecent(version)) {
    throw new TerraformUnavailableError(
      `${onPath} is Terraform ${version}, but ${OLDEST.join('.')} or newer is needed: upgrade it, or take it off the PATH and ` +
        `${PINNED_VERSION} is downloaded.`,
    );
  }
  return { path: onPath, version };
}

async function download({
  dataDirectory,
  releasesUrl = RELEASES,
  checksums = CHECKSUMS,
}: FindOptions): Promise<Terraform> {
  const version = PINNED_VERSION;
  const platform = `${process.platform}_${process.arch === 'x64' ? 'amd64' : process.arch}`;
  const checksum = checksums[platform];
  if (checksum === undefined) {
    throw new TerraformUnavailableError(
      `There is no terraform on the PATH and none to download for ${platform}: install Terraform ${OLDEST.join('.')} or newer.`,
    );
  }
  const shelf = join(dataDirectory, 'terraform');
  const directory = join(shelf, `${version}_${platform}`);
  const path = join(directory, 'terraform');
  if (await isProgram(path)) return { path, version };

  const url = `${releasesUrl.replace(/\/+$/, '')}/terraform/${version}/terraform_${version}_${platform}.zip`;
  try {
    await mkdir(shelf, { recursive: true });
    await withLock(join(shelf, '.lock'), async () => {
      if (await isProgram(path)) return;
      const workshop = await mkdtemp(join(shelf, '.download-'));
      try {
        const zip = join(workshop, 'terraform.zip');
        await fetchChecked(url, checksum, zip);
        await mkdir(join(workshop, 'program'));
        await unpack(zip, 'terraform', join(workshop, 'program', 'terraform'));
        await askVersion(join(workshop, 'program', 'terraform'));
        await rm(directory, { recursive: true, force: true });
        await rename(join(workshop, 'program'), directory);
      } finally {
        await rm(workshop, { recursive: true, force: true });
      }
    });
  } catch (error) {
    if (error instanceof TerraformUnavailableError) throw error;
    throw new TerraformUnavailableError(
      `There is no terraform on the PATH, and ${url} could not be installed: ${reason(error)}. Install Terraform ` +
        `${OLDEST.join('.')} or newer, or name a mirror that can be reached.`,
    );
  }
  return { path, version };
}

/** A failure that another attempt may not meet. */
class PassingError extends Error {}

async function fetchChecked(url: string, checksum: string, target: string): Promise<void> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      const actual = await fetchFile(url, target);
      if (actual === checksum) return;
      throw new TerraformUnavailableError(
        `${url} is not what was expected (SHA-256 ${actual} instead of ${checksum}): it was not used. If the address is a ` +
          `mirror, the mirror is wrong; or install Terraform ${OLDEST.join('.')} or newer yourself.`,
      );
    } catch (error) {
      const pause = RETRIES[attempt];
      if (!(error instanceof PassingError) || pause === undefined) throw error;
      await sleep(pause);
    }
  }
}

/** @returns the SHA-256 of what came, in hex */
async function fetchFile(url: string, target: string): Promise<string> {
  let response: Response;
  try {
    response = await fetch(url, { signal: AbortSignal.timeout(DOWNLOAD_PATIENCE) });
  } catch (error) {
    throw new PassingError(reason(error));
  }
  if (!response.ok || response.body === null) {
    await response.body?.cancel();
    const message = `the server answered ${response.status}`;
    throw response.status >= 500 || response.status === 429 ? new PassingError(message) : new Error(message);
  }
  const hash = createHash('sha256');
  let size = 0;
  const measure = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      size += chunk.length;
      hash.update(chunk);
      done(size > LARGEST_DOWNLOAD ? new Error('it is far too large') : null, chunk);
    },
  });
  try {
    await pipeline(Readable.fromWeb(response.body as ReadableStream), measure, createWriteStream(target));
  } catch (error) {
    throw size > LARGEST_DOWNLOAD || isFull(error)
      ? error
      : new PassingError(`the connection broke (${reason(error)})`);
  }
  return hash.digest('hex');
}

async function unpack(zip: string, name: string, target: string): Promise<void> {
  const archive = await openPromise(zip);
  try {
    for await (const entry of archive.eachEntry()) {
      if (entry.fileName !== name) continue;
      await pipeline(await archive.openReadStreamPromise(entry), createWriteStream(target));
      await chmod(target, 0o755);
      return;
    }
  } finally {
    archive.close();
  }
  throw new Error(`it holds no file named ${name}`);
}

async function lookUp(name: string, path: string): Promise<string | undefined> {
  for (const directory of path.split(delimiter)) {
    if (isAbsolute(directory) && (await isProgram(join(directory, name)))) return join(directory, name);
  }
  return undefined;
}

async function isProgram(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}

/** Runs outside any configuration, and without whatever `TF_*` there is in our own environment. */
async function askVersion(path: string): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(path, ['version', '-json'], {
      cwd: '/',
      env: { PATH: '/usr/bin:/bin', CHECKPOINT_DISABLE: '1' },
      timeout: 30_000,
    });
    const { terraform_version: version } = JSON.parse(stdout) as { terraform_version?: unknown };
    if (typeof version === 'string') return version;
    throw new Error('it does not say its version');
  } catch (error) {
    throw new TerraformUnavailableError(`${path} can't be used: ${reason(error)}.`);
  }
}

function isRecent(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1]);
}

function isFull(error: unknown): boolean {
  return ['ENOSPC', 'EDQUOT', 'EROFS', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '');
}

/** `fetch` hides the reason in the cause. */
function reason(error: unknown): string {
  const { message, cause } = error as Error & { cause?: { message?: string; code?: string } };
  const inner = cause?.message || cause?.code;
  return inner ? `${message}: ${inner}` : (message.split('\n')[0] ?? '');
}
