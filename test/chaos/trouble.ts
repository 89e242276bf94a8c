import { type ChildProcess, fork } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { How, MisbehaviourHandle } from '../support/github/index.js';
import type { Blow, BlowKind } from './blow.js';
import type { Place } from './place.js';
import { type ProcessFact, processesOf } from './processes.js';

const KILLER = fileURLToPath(new URL('./killer.ts', import.meta.url));

/** How GitHub and its git fail. */
const FAILURES: readonly How[] = [
  { status: 502 },
  { status: 503 },
  { delay: 3_000 },
  'lose-answer',
  'lose-answer-502',
  'secondary-rate-limit',
];

/** How long a blow waits for its moment, in ms. */
const LIE_IN_WAIT_MS = 10_000;

/** Hits the parts as the killer says, and brings back what has no supervisor of its own. */
export class Trouble {
  /** By kind; what found nothing to hit isn't counted. */
  readonly counts: Record<string, number> = {};
  readonly blows: { at: number; kind: BlowKind }[] = [];
  #killer: ChildProcess | undefined;
  #pending = new Set<Promise<void>>();
  #away = new Set<string>();
  #failing = new Set<MisbehaviourHandle>();
  readonly #over = new AbortController();

  constructor(
    private readonly place: Place,
    private readonly tell: (text: string) => void,
  ) {}

  /** Starts the second process. */
  begin(seed: number): void {
    const { blows, every } = this.place.options;
    if (blows.length === 0) return;
    this.#killer = fork(KILLER, [String(seed), String(every), blows.join(',')]);
    this.#killer.on('message', (blow) => {
      const work: Promise<void> = this.#hit(blow as Blow)
        .catch((error: unknown) => this.#note(`failed: ${error}`))
        .finally(() => this.#pending.delete(work));
      this.#pending.add(work);
    });
  }

  /** No more blows; resolves when everything that was taken away is there again. */
  async end(): Promise<void> {
    this.#killer?.disconnect();
    this.#killer = undefined;
    this.#over.abort();
    await Promise.all(this.#pending);
  }

  async #hit(blow: Blow): Promise<void> {
    const { kind, amid } = blow;
    const moment = amid ? isApply : kind === 'kill-terraform' ? () => true : undefined;
    if (moment) await this.#waitFor(moment);
    if (this.#over.signal.aborted) return;
    const at = Date.now();
    const hit = await this.#strike(blow);
    if (hit === undefined) return;
    this.blows.push({ at, kind });
    this.counts[kind] = (this.counts[kind] ?? 0) + 1;
    this.#note(`${kind}: ${hit}`);
    const part = { 'kill-redis': 'redis', 'kill-postgres': 'postgres', 'github-fail': 'github' }[kind as string];
    if (part === undefined) return;
    await sleep(blow.lasts, undefined, { signal: this.#over.signal }).catch(() => undefined);
    if (part === 'redis') await this.place.redis?.restart();
    if (part === 'postgres') await this.place.postgres.restart();
    if (part === 'github') for (const handle of this.#failing) handle.stop();
    this.#away.delete(part);
    this.#note(`${part} is back`);
  }

  /** Says what was hit; undefined: there was nothing to hit. */
  async #strike({ kind, which, lasts, amid }: Blow): Promise<string | undefined> {
    const { place } = this;
    switch (kind) {
      case 'kill-web':
        return place.web.kill(lasts) ? `web, back in ${ms(lasts)}` : undefined;
      case 'kill-worker': {
        const worker = one(place.workers, which);
        return worker?.kill(lasts) ? `${worker.name}, back in ${ms(lasts)}` : undefined;
      }
      case 'kill-terraform': {
        const found = await terraforms(place.directory);
        const applies = found.filter(isApply);
        const terraform = one(amid && applies.length > 0 ? applies : found, which);
        if (terraform === undefined) return undefined;
        if (!killed(terraform.pid)) return undefined;
        return `${terraform.pid} ${terraform.commandLine}`;
      }
      case 'kill-redis':
        if (!place.redis || !this.#takeAway('redis')) return undefined;
        await place.redis.kill();
        return `away for ${ms(lasts)}`;
      case 'wipe-redis':
        if (!place.redis || this.#away.has('redis')) return undefined;
        await place.redis.wipe();
        return 'empty';
      case 'kill-postgres':
        if (!this.#takeAway('postgres')) return undefined;
        await place.postgres.kill();
        return `away for ${ms(lasts)}`;
      case 'github-fail': {
        if (!this.#takeAway('github')) return undefined;
        const how = one(FAILURES, which) ?? { status: 502 };
        this.#failing = new Set([place.github.misbehave({ how }), place.github.git.misbehave({ how })]);
        return `${JSON.stringify(how)} for ${ms(lasts)}`;
      }
    }
  }

  /** Until a Terraform is there that is meant, but not for ever. */
  async #waitFor(meant: (terraform: ProcessFact) => boolean): Promise<void> {
    for (const end = Date.now() + LIE_IN_WAIT_MS; Date.now() < end && !this.#over.signal.aborted; ) {
      if ((await terraforms(this.place.directory)).some(meant)) return;
      await sleep(100);
    }
  }

  #takeAway(part: string): boolean {
    if (this.#away.has(part)) return false;
    this.#away.add(part);
    return true;
  }

  #note(text: string): void {
    this.tell(`✂ ${text}`);
  }
}

function isApply({ commandLine }: ProcessFact): boolean {
  return / apply /.test(commandLine);
}

/** Terraform itself, not the shell that holds it nor the sandbox around it. */
async function terraforms(directory: string): Promise<ProcessFact[]> {
  const all = await processesOf(directory);
  return all.filter(({ name, commandLine }) => name === 'terraform' && / (init|plan|show|apply) /.test(commandLine));
}

function killed(pid: number): boolean {
  try {
    return process.kill(pid, 'SIGKILL');
  } catch {
    return false; // it was quicker
  }
}

function one<T>(from: readonly T[], which: number): T | undefined {
  return from[Math.floor(which * from.length)];
}

function ms(duration: number): string {
  return `${(duration / 1_000).toFixed(1)} s`;
}
