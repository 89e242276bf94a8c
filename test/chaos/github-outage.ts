import { print } from '../bench/output.js';
import { outage } from './outage.js';

/**
 * `npx tsx test/chaos/github-outage.ts [seconds] [redis|postgres] [workers]`, after `npm run build`: GitHub rejects
 * everything for so long (default 600) while runs are under way (10 workspaces, 5 pushes) in so many workers beside the
 * web (default 2; 0: in the web's process). Fails unless all comes right.
 */
const [given = '600', backend, beside = '2'] = process.argv.slice(2);
const [seconds, workers] = [Number(given), Number(beside)];

/** In ms, beside the outage: nothing here may go on for longer. */
const LIMIT_MS = 20 * 60_000;

setTimeout(
  () => {
    process.stderr.write('It takes too long: given up.\n');
    process.exit(1);
  },
  seconds * 1000 + LIMIT_MS,
).unref();

const figures = await outage({
  seconds,
  workers,
  workspaces: 10,
  pushes: 5,
  backend: backend === 'postgres' ? 'postgres' : 'redis',
});
for (const [name, value] of Object.entries(figures)) {
  print(`${name}: ${typeof value === 'number' ? Math.round(value * 10) / 10 : JSON.stringify(value)}`);
}
const right =
  figures.wrong.length === 0 &&
  (workers > 0 || figures.endedWhileAway === figures.runs) &&
  figures.secondsToCatchUp <= 120 &&
  figures.calls <= 2 * figures.checkRuns &&
  figures.busiestMinute <= 80 &&
  figures.busiestHour <= 500;
print(right ? 'All is right.' : 'That is not right.');
process.exitCode = right ? 0 : 1;
