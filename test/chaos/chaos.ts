import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CHECKS } from './checks/index.js';
import { comeToRest } from './closing.js';
import { collect } from './collect.js';
import { Day } from './day.js';
import type { Evidence } from './evidence.js';
import { type Options, readOptions, USAGE } from './options.js';
import { Place } from './place.js';
import { Random } from './random.js';
import { printFigures, printVerdict } from './report.js';
import { Trouble } from './trouble.js';

/** What start and end may take beside the day itself, in ms. */
const EXTRA_MS = 25 * 60_000;

/** `npm run chaos`: a day, its trouble, and whether everything is as it must be afterwards. The exit code. */
async function main(options: Options): Promise<number> {
  const random = new Random(options.seed);
  const directory = await mkdtemp(join(tmpdir(), 'signalbox-chaos-'));
  const place = new Place(directory, options);
  const started = Date.now();
  const tell = (text: string) => {
    if (options.verbose) print(`${((Date.now() - started) / 1_000).toFixed(1).padStart(7)}  ${text}`);
  };
  const interrupted = (signal: NodeJS.Signals) => {
    process.stderr.write(`${signal}: everything is ended.\n`);
    void place.close({ keep: options.keep }).finally(() => process.exit(1));
  };
  process.once('SIGINT', interrupted);
  process.once('SIGTERM', interrupted);
  setTimeout(() => interrupted('SIGTERM'), options.minutes * 60_000 + EXTRA_MS).unref();

  let differences: { claim: string; found: string[] }[] = [];
  let failed = true;
  try {
    await place.open();
    const day = new Day(place, random.fork(), tell);
    const trouble = new Trouble(place, tell);
    const killing = random.integer(0, 4_294_967_295);
    await day.begin();
    trouble.begin(killing);
    await day.go(Date.now() + options.minutes * 60_000).finally(() => trouble.end());
    tell('the day is over');
    const rest = await comeToRest(place, day, tell);
    const evidence = await collect(place, day, trouble);
    differences = compare(evidence, rest);
    const codes = await place.stopProcesses();
    for (const [name, code] of Object.entries(codes)) {
      if (code !== 0)
        differences.push({ claim: 'every process stops in order', found: [`${name} exited with ${code}`] });
    }
    const left = await place.leftovers();
    if (left.length > 0) differences.push({ claim: 'no process is left behind', found: left });
    printFigures({ options, day, trouble, evidence, rest, elapsed: Date.now() - started, starts: startsOf(place) });
    failed = differences.length > 0;
  } catch (error) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    differences.push({ claim: 'the harness itself works', found: [text] });
  } finally {
    const keep = failed || options.keep;
    await place.close({ keep });
    printVerdict(differences, keep ? directory : undefined);
  }
  return failed ? 1 : 0;
}

function compare(evidence: Evidence, rest: number | undefined): { claim: string; found: string[] }[] {
  const checked = CHECKS.map(({ claim, check }) => ({ claim, found: check(evidence) }));
  const unrest = { claim: 'everything comes to rest', found: rest === undefined ? ['it never did'] : [] };
  return [unrest, ...checked].filter(({ found }) => found.length > 0);
}

function startsOf({ processes }: Place): Record<string, number> {
  return Object.fromEntries(processes.map(({ name, starts }) => [name, starts]));
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

async function start(): Promise<number> {
  let options: Options;
  try {
    options = readOptions(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${USAGE}`);
    return 2;
  }
  return main(options);
}

process.exitCode = await start();
process.exit();
