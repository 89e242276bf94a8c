import { parseArgs } from 'node:util';
import { freePort } from '../support/signalbox.js';
import { instructions } from './by-hand.js';
import { checkRunLine } from './check-run-card.js';
import { serveControls } from './controls.js';
import { follow } from './follow.js';
import { Interrupted, interruption } from './interruption.js';
import { Narrator, NotAsTold } from './narrator.js';
import { Scene } from './scene.js';
import { appliedByTheButton, appliedByTheComment, errorOnItsLine, stoppedAsChanged } from './stories.js';
import { paint, print } from './terminal.js';
import { judge } from './verdict.js';
import { World } from './world.js';

const USAGE = `Usage: npm run demo [-- --keep]

Tells the story of Signalbox while it really happens: on a local GitHub, with real git, PostgreSQL and Terraform.

  --keep   keep it running afterwards, to look at its pages, clone, push and comment by hand
  --help   show this`;

const LOG_LINES_SHOWN = 25;

async function main(): Promise<number> {
  const options = readArguments();
  if (typeof options === 'number') return options;
  const narrator = new Narrator();
  const interrupted = interruption();
  const world = await World.create();
  try {
    await Promise.race([tell(narrator, world, options.keep), interrupted]);
    return 0;
  } catch (error) {
    narrator.silence();
    if (error instanceof Interrupted) {
      print('\nStopping: Terraform ends what it has begun.');
      return error.exitCode;
    }
    explainFailure(error, world);
    return 1;
  } finally {
    await world.close();
  }
}

function readArguments(): { keep: boolean } | number {
  try {
    const options = {
      keep: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    } as const;
    const { values } = parseArgs({ options });
    if (!values.help) return { keep: values.keep };
    print(USAGE);
    return 0;
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${USAGE}\n`);
    return 2;
  }
}

async function tell(narrator: Narrator, world: World, keep: boolean): Promise<void> {
  const began = performance.now();
  narrator.lines('', paint('bold', 'Signalbox: Terraform runs on plain GitHub'), '');
  narrator.say(
    'What follows really happens: git pushes over HTTP, webhooks, PostgreSQL, Terraform. Only GitHub is a local one.',
  );
  const port = await freePort();
  const place = await world.openGitHub(port);
  await narrator.during('Signalbox starts, with its embedded PostgreSQL', world.startSignalbox(port));

  const scene = new Scene(narrator, place, () => world.signalboxExit);
  await appliedByTheButton(scene);
  await appliedByTheComment(scene);
  await stoppedAsChanged(scene);
  await errorOnItsLine(scene);
  judge(scene);

  narrator.chapter('What happened, and how long it took');
  narrator.stepTable();
  narrator.say(
    `All in all ${((performance.now() - began) / 1000).toFixed(0)} s and ${place.github.requests.length} requests to GitHub, each of them as GitHub's API describes it. Every check run is what this story says.`,
  );
  if (keep) await keepRunning(narrator, world, port);
}

async function keepRunning(narrator: Narrator, world: World, port: number): Promise<never> {
  narrator.chapter('By hand');
  const controls = await serveControls(world.place);
  narrator.lines(...instructions(world.place, controls, port));
  narrator.lines(`Signalbox's log is ${world.logFile}. Ctrl-C stops everything and removes it.`, '');
  return follow(world.place, (line) => narrator.lines(line));
}

function explainFailure(error: unknown, world: World): void {
  const what =
    error instanceof NotAsTold
      ? error.message
      : error instanceof Error
        ? (error.stack ?? error.message)
        : String(error);
  print(`\n${paint(['red', 'bold'], 'The demo failed')}\n\n${what}\n`);
  print('The check runs, as they are:');
  for (const run of world.checkRuns) print(checkRunLine(run));
  print(`\nThe end of Signalbox's log:\n${world.log.trimEnd().split('\n').slice(-LOG_LINES_SHOWN).join('\n')}`);
}

process.exit(await main());
