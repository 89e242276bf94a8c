import { parseArgs } from 'node:util';
import { BLOWS, type BlowKind } from './blow.js';

export interface Options {
  seed: number;
  /** How long the day is; its end, in which everything comes to rest, is extra. */
  minutes: number;
  backend: 'redis' | 'postgres';
  workers: number;
  /** What may happen to the parts. Empty: a day without trouble. */
  blows: BlowKind[];
  /** The mean time between two blows, in seconds. */
  every: number;
  /** SANDBOX for the workers. */
  sandbox: string;
  verbose: boolean;
  keep: boolean;
}

export const USAGE = `npm run chaos -- [--seed N] [--minutes M] [--backend redis|postgres] [--workers N]
                [--blows KIND,KIND… | --calm] [--every SECONDS] [--sandbox off|auto|required] [--verbose] [--keep]

Blows: ${BLOWS.join(', ')}
`;

/** Throws an Error that says what is wrong with the arguments. */
export function readOptions(args: string[]): Options {
  const { values } = parseArgs({
    args,
    options: {
      seed: { type: 'string', default: '1' },
      minutes: { type: 'string', default: '3' },
      backend: { type: 'string', default: 'redis' },
      workers: { type: 'string', default: '2' },
      blows: { type: 'string', default: BLOWS.join(',') },
      calm: { type: 'boolean', default: false },
      every: { type: 'string', default: '8' },
      sandbox: { type: 'string', default: 'off' },
      verbose: { type: 'boolean', default: false },
      keep: { type: 'boolean', default: false },
    },
  });
  const number = (name: 'seed' | 'minutes' | 'workers' | 'every', least: number, most: number) => {
    const value = Number(values[name]);
    if (!(value >= least && value <= most)) throw new Error(`--${name} must be a number from ${least} to ${most}.`);
    return value;
  };
  const { backend, sandbox, verbose, keep } = values;
  if (backend !== 'redis' && backend !== 'postgres') throw new Error('--backend must be redis or postgres.');
  const asked = values.calm ? [] : values.blows.split(',').filter(Boolean);
  const unknown = asked.filter((name) => !BLOWS.includes(name as BlowKind));
  if (unknown.length > 0) throw new Error(`There is no blow ${unknown.join(', ')}: there are ${BLOWS.join(', ')}.`);
  const blows = (asked as BlowKind[]).filter((kind) => backend === 'redis' || !kind.endsWith('redis'));
  return {
    seed: number('seed', 0, 4_294_967_295),
    minutes: number('minutes', 0.1, 600),
    workers: number('workers', 1, 8),
    every: number('every', 0.5, 600),
    backend,
    blows,
    sandbox,
    verbose,
    keep,
  };
}
