import fc from 'fast-check';
import { outputBeginning } from '../../src/live/beginning.js';
import { rawOutput } from '../../src/live/raw-output.js';
import { ColourStripper, colour, stripColour } from '../../src/terraform/colour.js';
import { RunsWorld } from '../runs/world.js';
import { logOf } from './support.js';

let world: RunsWorld;
beforeAll(async () => {
  world = await RunsWorld.open();
});
afterAll(() => world.close());

test('an output is a file of plain text, without colour, otherwise as Terraform printed it', async () => {
  const run = await world.in('applying');
  const text = `${colour.bold('größer 🚂')} <b>\r\n\ttabs\n`.repeat(40_000);
  for (const stage of ['plan', 'apply'] as const) {
    const log = logOf(world.db, run, stage);
    log.append(`${stage}\n${text}`);
    await log.end();
  }
  for (const stage of ['plan', 'apply'] as const) {
    const response = await rawOutput(world.db, run, stage);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('text/plain; charset=utf-8');
    expect(response.headers.get('x-content-type-options')).toBe('nosniff');
    expect(await response.text()).toBe(`${stage}\n${stripColour(text)}`);
  }
});

test('of a stage that has not begun it is empty; one that was removed says when and why', async () => {
  const run = await world.in('planning');
  const empty = await rawOutput(world.db, run, 'apply');
  expect([empty.status, await empty.text()]).toEqual([200, '']);
  const removed = await rawOutput(world.db, { ...run, output_removed_at: new Date('2026-01-02T03:04:05Z') }, 'plan');
  expect([removed.status, await removed.text()]).toEqual([
    410,
    'The output of this run was removed on 2026-01-02 because of its age.\n',
  ]);
});

test('of several attempts it is the last', async () => {
  const run = await world.in('planning');
  for (const attempt of [1, 2]) {
    const log = logOf(world.db, { ...run, attempt });
    log.append(`attempt ${attempt}`);
    await log.end();
  }
  expect(await (await rawOutput(world.db, run, 'plan')).text()).toBe('attempt 2');
});

test('colour is found wherever the pieces of a text are cut', () => {
  const pieces = fc.array(
    fc.oneof(
      fc.string(),
      fc.constantFrom(
        '\u001b',
        '\u001b[',
        '\u001b[1;3',
        '1m',
        '\u001b]8;;',
        'http://x',
        '\u0007',
        '\u001b\\',
        '(B',
        'é',
      ),
    ),
  );
  fc.assert(
    fc.property(pieces, (texts) => {
      const stripper = new ColourStripper();
      const plain = texts.map((text) => stripper.push(text)).join('') + stripper.end();
      expect(plain).toBe(stripColour(texts.join('')));
    }),
    { numRuns: 2_000 },
  );
});

test('a page begins with some of the output, and its stream goes on from there', async () => {
  const run = await world.in('applying');
  expect(await outputBeginning(world.db, run.id)).toEqual({
    plan: { text: '', position: undefined, more: false },
    apply: { text: '', position: undefined, more: false },
  });
  const write = async (stage: 'plan' | 'apply', text: string) => {
    const log = logOf(world.db, run, stage);
    log.append(text);
    await log.end();
  };
  await write('plan', 'short\n');
  await write('apply', 'x'.repeat(200_000));
  const short = { text: 'short\n', position: `plan.${run.attempt}.0`, more: false };
  expect(await outputBeginning(world.db, run.id)).toEqual({
    plan: short,
    apply: { text: '', position: undefined, more: true },
  });

  const other = await world.in('planning');
  const log = logOf(world.db, other);
  log.append('y'.repeat(200_000));
  await log.end();
  expect((await outputBeginning(world.db, other.id)).plan).toEqual({
    text: 'y'.repeat(64 * 1024),
    position: `plan.${other.attempt}.0`,
    more: true,
  });
});
