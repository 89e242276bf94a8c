import { idle } from './idle.js';
import { describeMachine, print } from './output.js';
import { overhead } from './overhead.js';
import { pages } from './pages.js';
import { sandbox } from './sandbox.js';
import { scrape } from './scrape.js';
import { webhooks } from './webhooks.js';

/** `npm run bench`, or `npm run bench -- overhead|webhooks|idle|scrape|sandbox|pages …` for some of it. */
const BENCHMARKS = { overhead, webhooks, idle, scrape, sandbox, pages };

/** Nothing here may go on for longer, in ms. */
const LIMIT_MS = 10 * 60_000;

async function main(names: string[]): Promise<number> {
  const known = Object.keys(BENCHMARKS);
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0) {
    process.stderr.write(`There is no benchmark ${unknown.join(', ')}: there are ${known.join(', ')}.\n`);
    return 2;
  }
  const started = performance.now();
  print(`Signalbox, measured on ${describeMachine()}`);
  for (const [name, benchmark] of Object.entries(BENCHMARKS)) {
    if (names.length > 0 && !names.includes(name)) continue;
    print();
    await benchmark();
  }
  print();
  print(`It took ${((performance.now() - started) / 1000).toFixed(0)} s.`);
  return 0;
}

setTimeout(() => {
  process.stderr.write('The benchmark takes too long: given up.\n');
  process.exit(1);
}, LIMIT_MS).unref();
process.exitCode = await main(process.argv.slice(2));
