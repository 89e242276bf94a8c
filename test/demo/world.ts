import { appendFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CheckRun } from '../support/github/index.js';
import { Signalbox } from '../support/signalbox.js';
import { endProcessesOf } from './leftovers.js';
import { openPlace, type Place } from './place.js';

/** A stop that takes longer than this, in ms, is no orderly one. Terraform may end what it has begun. */
const LONGEST_STOP_MS = 30_000;

/** A local GitHub and a Signalbox beside it, in a temporary directory that goes with them. */
export class World {
  readonly directory: string;
  #place: Place | undefined;
  #starting: Promise<Signalbox> | undefined;
  #signalbox: Signalbox | undefined;

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async create(): Promise<World> {
    return new World(await mkdtemp(join(tmpdir(), 'signalbox-demo-')));
  }

  async openGitHub(port: number): Promise<Place> {
    this.#place = await openPlace(this.directory, port);
    return this.#place;
  }

  /** Built, with nothing configured but its App: PostgreSQL and the queues are the embedded ones. */
  async startSignalbox(port: number): Promise<Signalbox> {
    this.#starting = Signalbox.start({
      github: this.place.github,
      port,
      dataDirectory: join(this.directory, 'data'),
      onLog: (text) => appendFileSync(this.logFile, text),
      detached: true,
    });
    this.#signalbox = await this.#starting;
    return this.#signalbox;
  }

  get place(): Place {
    if (!this.#place) throw new Error('the local GitHub has not started');
    return this.#place;
  }

  get checkRuns(): CheckRun[] {
    return this.#place ? this.#place.github.checkRuns(this.#place.infra) : [];
  }

  get logFile(): string {
    return join(this.directory, 'signalbox.log');
  }

  /** Undefined while it runs, and before. */
  get signalboxExit(): string | undefined {
    const { exitCode, signalCode } = this.#signalbox?.process ?? {};
    return exitCode != null ? `code ${exitCode}` : (signalCode ?? undefined);
  }

  get log(): string {
    return this.#signalbox?.log ?? '';
  }

  /** Stops both and removes the directory, however far the start had come. */
  async close(): Promise<void> {
    const signalbox = await this.#starting?.catch(() => undefined);
    if (signalbox) {
      const impatient = setTimeout(() => signalbox.process.kill('SIGKILL'), LONGEST_STOP_MS);
      await signalbox.stop();
      clearTimeout(impatient);
    }
    await endProcessesOf(this.directory);
    await this.#place?.github.close();
    await rm(this.directory, { recursive: true, force: true, maxRetries: 5 });
  }
}
