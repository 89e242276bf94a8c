import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Listeners } from '../../src/state/listeners.js';
import { holdsSnapshots, StateJournal } from '../../src/state/state-journal.js';
import { SmallDisk, smallDiskAvailable } from '../support/small-disk.js';
import { log } from './support.js';

let directory: string;
let record: string[];
let away: boolean;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'signalbox-journal-'));
  record = [];
  away = false;
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

class Refused extends Error {}

const open = () =>
  StateJournal.open({
    directory,
    forward: async (sealed) => {
      if (sealed.toString() === 'refused') throw new Refused('never');
      if (away) throw new Error('away');
      record.push(sealed.toString());
    },
    isFinal: (error) => error instanceof Refused,
    log,
  });

test('a snapshot leaves the disk when the record has it', async () => {
  const journal = await open();
  await journal.append(Buffer.from('1'));
  await journal.drained();
  expect(record).toEqual(['1']);
  expect(readdirSync(directory)).toEqual([]);
  expect(journal.newest?.toString()).toBe('1');
});

test('many at once keep their order, also over an outage and a restart', async () => {
  const journal = await open();
  away = true;
  await Promise.all(['1', '2', '3'].map((text) => journal.append(Buffer.from(text))));
  expect(await holdsSnapshots(directory)).toBe(true);
  await journal.close();
  await expect(journal.append(Buffer.from('late'))).rejects.toThrow('closed');

  writeFileSync(join(directory, '0000000004.snapshot.tmp'), 'half of i');
  const next = await open();
  expect(next.newest?.toString()).toBe('3');
  await next.append(Buffer.from('4'));
  away = false;
  await next.drained();
  expect(record).toEqual(['1', '2', '3', '4']);
  expect(await holdsSnapshots(directory)).toBe(false);
});

test('what can never be forwarded stays on disk, and whoever waits is told', async () => {
  const journal = await open();
  const { attempt } = await journal.append(Buffer.from('refused'));
  await expect(attempt).rejects.toThrow('never');
  await expect(journal.append(Buffer.from('next'))).rejects.toThrow('never');
  await expect(journal.drained()).rejects.toThrow('never');
  expect(readdirSync(directory)).toEqual(['0000000001.snapshot']);
});

(smallDiskAvailable ? describe : describe.skip)('on a full disk', () => {
  let disk: SmallDisk;
  const snapshot = (text: string) => Buffer.from(text.padEnd(10_000));
  const recorded = () => record.map((text) => text.trim());
  beforeEach(() => {
    disk = SmallDisk.mount();
    directory = join(disk.directory, 'state');
  });
  afterEach(() => disk.unmount());

  test('a snapshot goes to the record all the same, in its turn, and no half of it stays', async () => {
    const journal = await open();
    disk.fill();
    for (const text of ['1', '2']) {
      const { attempt, unwritten } = await journal.append(snapshot(text));
      expect(unwritten).toMatchObject({ code: 'ENOSPC' });
      await attempt;
    }
    expect(recorded()).toEqual(['1', '2']);
    expect(journal.newest?.toString().trim()).toBe('2');
    expect(readdirSync(directory)).toEqual([]);
    await journal.close();
  });

  test('one that the record does not take at once keeps its turn, and others are refused meanwhile', async () => {
    const journal = await open();
    disk.fill();
    away = true;
    const { attempt } = await journal.append(snapshot('1'));
    await expect(attempt).rejects.toThrow('away');
    await expect(journal.append(snapshot('2'))).rejects.toMatchObject({ code: 'ENOSPC' });
    disk.empty();
    expect(await journal.append(snapshot('3'))).not.toHaveProperty('unwritten');
    away = false;
    await journal.drained();
    expect(recorded()).toEqual(['1', '3']);
    await journal.close();
  });

  test('one behind others that wait on disk is refused', async () => {
    const journal = await open();
    away = true;
    await journal.append(snapshot('1'));
    disk.fill();
    await expect(journal.append(snapshot('2'))).rejects.toMatchObject({ code: 'ENOSPC' });
    expect(readdirSync(directory)).toEqual(['0000000001.snapshot']);
    away = false;
    await journal.drained();
    expect(recorded()).toEqual(['1']);
    await journal.close();
  });
});

test('a port that an ending process still has is waited for', async () => {
  const blocker = createServer();
  await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve));
  const { port } = blocker.address() as { port: number };
  const listeners = new Listeners((_, response) => void response.end());
  const listening = listeners.listen(port);
  setTimeout(() => blocker.close(), 300);
  await listening;
  await listeners.listen(port);
  const free = await listeners.listenAnywhere();
  expect(free).toBeLessThan(32_768);
  expect((await fetch(`http://127.0.0.1:${port}`)).status).toBe(200);
  await listeners.closeAll();
});
