import { setTimeout as sleep } from 'node:timers/promises';
import { cgroupEvents } from './cgroup.js';
import type { HeldProcess } from './process.js';
import { isAlive } from './process-table.js';
import { diskUsage, usageBelow } from './usage.js';

/** What a run may use. */
export interface RunLimits {
  /** Processes and threads. */
  processes: number;
  /** In bytes. */
  memory: number;
  /** In bytes, of its own directories. */
  disk: number;
  /** In bytes, of the output that is kept. */
  output: number;
}

/** The limits of one process, and how they are kept. */
export interface Limits extends RunLimits {
  /** What counts as its disk space. */
  places: readonly string[];
  /** How long Terraform may take to end in order when it was interrupted, in ms, before it is killed. */
  patience: number;
}

interface Excess {
  sentence: string;
  /** So far beyond the limit that there is no time to ask. */
  grave: boolean;
}

/** How often processes, memory and output are looked at, in ms. */
const PERIOD = 250;
/** The disk is looked at less often: as many times the duration of a look, and at least so many ms. */
const DISK_SHARE = 20;
const DISK_PERIOD = 2_000;
/**
 * More output than is kept is only counted, up to so many times as much: then whoever writes it is stopped. What Terraform writes
 * is JSON, which is up to ten times as long as the text that is kept of it.
 */
const OUTPUT_FACTOR = 16;
const GRAVE = { processes: 2, memory: 1.5, disk: 1.5, output: 2 };

/**
 * Watches that a process keeps to its limits: interrupts it when it doesn't, and kills it where it is far beyond, or doesn't end.
 * The first limit that it goes beyond is noted with it.
 *
 * @returns looks a last time and ends the watch
 */
export function watchLimits(process: HeldProcess, limits: Limits): () => Promise<void> {
  const ending = new AbortController();
  const watching = watch(process, limits, ending.signal);
  return async () => {
    ending.abort();
    await watching;
    const excess = await refused(process, limits).catch(() => undefined);
    if (excess) process.exceed(excess.sentence);
  };
}

async function watch(process: HeldProcess, limits: Limits, end: AbortSignal): Promise<void> {
  const keep = keeper(process, limits);
  while (!end.aborted) {
    await sleep(PERIOD, undefined, { signal: end }).catch(() => {});
    if (end.aborted) return;
    // What fails, for want of file descriptors for instance, is repeated.
    if (await keep().catch(() => false)) return;
  }
}

/** Yields what looks at the process and does what has to be done. That yields whether the process was killed. */
function keeper(process: HeldProcess, limits: Limits): () => Promise<boolean> {
  const disk = diskWatch(limits);
  let killAt = Number.POSITIVE_INFINITY;
  return async () => {
    const looks = [() => refused(process, limits), () => tooMuch(process, limits), disk];
    const excess = await firstOf(looks).catch(() => undefined);
    const now = performance.now();
    if (excess && process.exceeded === undefined) {
      process.exceed(excess.sentence);
      killAt = now + limits.patience;
      if (!excess.grave) await process.interrupt();
    }
    if (!excess?.grave && now < killAt) return false;
    await process.kill();
    return true;
  };
}

async function firstOf(looks: (() => Promise<Excess | undefined>)[]): Promise<Excess | undefined> {
  for (const look of looks) {
    const excess = await look();
    if (excess) return excess;
  }
  return undefined;
}

/** Yields what looks at the disk when it is time to. */
function diskWatch(limits: Limits): () => Promise<Excess | undefined> {
  let next = performance.now() + DISK_PERIOD;
  return async () => {
    const began = performance.now();
    if (began < next) return undefined;
    const used = await diskUsage(limits.places);
    next = performance.now() + Math.max(DISK_PERIOD, DISK_SHARE * (performance.now() - began));
    return beyond(used, limits.disk, GRAVE.disk, SENTENCES.disk(limits));
  };
}

/** What the system itself has refused it. */
async function refused({ cgroups }: HeldProcess, limits: Limits): Promise<Excess | undefined> {
  if (cgroups.length === 0) return undefined;
  const events = await cgroupEvents(cgroups);
  if (events.processes > 0) return { sentence: SENTENCES.processes(limits), grave: false };
  if (events.memory > 0) return { sentence: SENTENCES.memory(limits), grave: false };
  return undefined;
}

/** What only we see. */
async function tooMuch(process: HeldProcess, limits: Limits): Promise<Excess | undefined> {
  const output = beyond(process.printed, OUTPUT_FACTOR * limits.output, GRAVE.output, SENTENCES.output(limits));
  const { sandbox, cgroups } = process;
  if (output || cgroups.length > 0 || sandbox === undefined || !isAlive(sandbox)) return output;
  const usage = await usageBelow(sandbox);
  return (
    beyond(usage.processes, limits.processes, GRAVE.processes, SENTENCES.processes(limits)) ??
    beyond(usage.memory, limits.memory, GRAVE.memory, SENTENCES.memory(limits))
  );
}

function beyond(used: number, limit: number, grave: number, sentence: string): Excess | undefined {
  return used > limit ? { sentence, grave: used > grave * limit } : undefined;
}

const SENTENCES: Readonly<Record<keyof RunLimits, (limits: RunLimits) => string>> = {
  processes: ({ processes }) =>
    `It had more than ${processes} processes and threads, which is the limit (RUN_PROCESSES)`,
  memory: ({ memory }) => `It needed more than ${describeBytes(memory)} of memory, which is the limit (RUN_MEMORY)`,
  disk: ({ disk }) => `It wrote more than ${describeBytes(disk)} to disk, which is the limit (RUN_DISK)`,
  output: ({ output }) =>
    `It printed more than ${describeBytes(OUTPUT_FACTOR * output)}, ${OUTPUT_FACTOR} times as much as is kept (RUN_OUTPUT)`,
};

/** `4294967296` → `4 GiB`. */
export function describeBytes(bytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  let value = bytes;
  for (; value >= 1024 && unit < units.length - 1; unit += 1) value /= 1024;
  return `${Number(value.toFixed(1))} ${units[unit]}`;
}

/** Keeps the beginning of an output, up to a number of bytes, and counts what comes after. */
export class OutputBudget {
  #kept = 0;
  #left = 0;

  constructor(readonly limit: number) {}

  /** What of `text`, which is whole lines, may be kept. */
  take(text: string): string {
    const bytes = Buffer.byteLength(text);
    if (this.#left === 0 && this.#kept + bytes <= this.limit) {
      this.#kept += bytes;
      return text;
    }
    const kept = this.#left > 0 ? '' : firstLines(text, this.limit - this.#kept);
    const keptBytes = Buffer.byteLength(kept);
    this.#kept += keptBytes;
    this.#left += bytes - keptBytes;
    return kept;
  }

  /** A line about what was left out; empty where nothing was. */
  get remark(): string {
    if (this.#left === 0) return '';
    return `… ${this.#left} more bytes of output are not kept: ${describeBytes(this.limit)} is the limit (RUN_OUTPUT).\n`;
  }
}

function firstLines(text: string, bytes: number): string {
  const buffer = Buffer.from(text).subarray(0, Math.max(bytes, 0));
  return buffer.subarray(0, buffer.lastIndexOf('\n') + 1).toString('utf8');
}
