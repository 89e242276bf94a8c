import { setTimeout as sleep } from 'node:timers/promises';
import type { Blow, BlowKind } from './blow.js';
import { Random } from './random.js';

/**
 * The second process: decides from its own seed what is hit, and when, and tells the harness, which holds the parts. Its
 * arguments: seed, mean seconds between two blows, kinds of blows. It ends with the harness.
 */
const [seed, every, kinds] = process.argv.slice(2);

/** How likely each is, beside the others. */
const WEIGHTS: Record<BlowKind, number> = {
  'kill-web': 3,
  'kill-worker': 4,
  'kill-terraform': 3,
  'kill-redis': 2,
  'wipe-redis': 2,
  'kill-postgres': 2,
  'github-fail': 2,
};

async function main(): Promise<void> {
  const random = new Random(Number(seed));
  const allowed = (kinds ?? '').split(',') as BlowKind[];
  const weights = Object.fromEntries(allowed.map((kind) => [kind, WEIGHTS[kind]])) as Record<BlowKind, number>;
  for (;;) {
    // Often nothing for a while, then two blows in the same breath.
    await sleep(-Math.log(1 - random.next()) * Number(every) * 1_000);
    const blow: Blow = blowOf(random.weighted(weights), random);
    process.send?.(blow);
  }
}

function blowOf(kind: BlowKind, random: Random): Blow {
  const decided = { kind, which: random.next(), amid: random.chance(kind === 'kill-terraform' ? 0.8 : 0.5) };
  switch (kind) {
    case 'github-fail':
      return { ...decided, lasts: random.between(5_000, 30_000) };
    case 'kill-redis':
    case 'kill-postgres':
      return { ...decided, lasts: random.between(500, 10_000) };
    default:
      return { ...decided, lasts: random.between(200, 5_000) };
  }
}

process.on('disconnect', () => process.exit(0));
await main();
