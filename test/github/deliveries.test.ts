import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { pino } from 'pino';
import { Notifications } from '../../src/db/notifications.js';
import { createDb, createPool, type Db } from '../../src/db/pool.js';
import { GitUnavailable } from '../../src/git/git-error.js';
import { DeliveryProcessor, type DeliveryProcessorOptions, recordDelivery } from '../../src/github/deliveries.js';
import { TryLater } from '../../src/github/failures.js';
import { onInstallation } from '../../src/github/handling.js';
import { createLog } from '../../src/log.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

let database: TestDatabase;
let db: Db;
let notifications: Notifications;
const processors: DeliveryProcessor[] = [];
const log = createLog({ level: 'silent', format: 'json' });

beforeAll(async () => {
  database = await createTestDatabase();
  db = createDb(createPool({ connectionString: database.url, max: 12, onError: () => undefined }));
  notifications = new Notifications(database.url, () => undefined);
  await notifications.start();
});
afterAll(async () => {
  await notifications.close();
  await db.destroy();
  await database.drop();
});
beforeEach(() => sql`truncate deliveries, settings`.execute(db));
afterEach(async () => {
  await Promise.all(processors.splice(0).map((processor) => processor.stop()));
});

interface Event {
  id: string;
  payload: { say: string };
}

/** `handle` does what a handler would. */
function start(
  handle: (event: Event, commit: (name: string) => Promise<void>) => Promise<void>,
  options: Partial<DeliveryProcessorOptions> = {},
): DeliveryProcessor {
  const services = {
    db,
    log,
    appId: 1,
    mirrors: undefined as never,
    app: undefined as never,
    octokitFor: undefined as never,
  };
  const receive = (event: Event) =>
    onInstallation<'push'>(services, ({ commit }) =>
      handle(event, (name) =>
        commit(async (tx) => {
          await tx
            .insertInto('settings')
            .values({ name, value: Buffer.from('') })
            .execute();
        }),
      ),
    )({ ...event, name: 'push' } as never);
  const processor = new DeliveryProcessor({
    db,
    notifications,
    receive: receive as never,
    log,
    concurrency: 4,
    retryMs: 5,
    pollMs: 60_000,
    ...options,
  });
  processors.push(processor);
  processor.start();
  return processor;
}

const record = (guid: string, repositoryId?: number) =>
  recordDelivery(db, { guid, event: 'push', body: JSON.stringify({ say: guid }), repositoryId });

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error('it never came to be');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const undone = async () =>
  (await db.selectFrom('deliveries').select('guid').where('done_at', 'is', null).orderBy('id').execute()).map(
    ({ guid }) => guid,
  );
const changes = async () =>
  (await db.selectFrom('settings').select('name').orderBy('name').execute()).map((row) => row.name);
const find = (guid: string) =>
  db.selectFrom('deliveries').selectAll().where('guid', '=', guid).executeTakeFirstOrThrow();

test('a delivery is handled when it is recorded, not at the next look', async () => {
  const handled: string[] = [];
  start(async ({ id }) => void handled.push(id), { pollMs: 600_000 });
  await new Promise((resolve) => setTimeout(resolve, 50));
  await record('one', 1);
  await until(() => handled.length === 1);
  await until(async () => (await undone()).length === 0);
});

test('of one repository they are handled one at a time, in their order; of several side by side', async () => {
  const seen: string[] = [];
  let active = 0;
  let most = 0;
  const activeIn = new Map<string, number>();
  for (let i = 0; i < 10; i++) for (const repo of [1, 2, 3]) await record(`${repo}-${i}`, repo);
  start(async ({ id }) => {
    const repo = id.split('-')[0] ?? '';
    activeIn.set(repo, (activeIn.get(repo) ?? 0) + 1);
    expect(activeIn.get(repo)).toBe(1);
    most = Math.max(most, ++active);
    // Ends only when all three are under way.
    await until(() => most === 3);
    active--;
    activeIn.set(repo, 0);
    seen.push(id);
  });
  await until(async () => (await undone()).length === 0);
  for (const repo of [1, 2, 3]) {
    expect(seen.filter((id) => id.startsWith(`${repo}-`))).toEqual(
      Array.from({ length: 10 }, (_, i) => `${repo}-${i}`),
    );
  }
  expect(most).toBe(3);
});

test('several processes share the work, and nothing is handled twice', async () => {
  const seen: string[] = [];
  for (let i = 0; i < 60; i++) await record(`${i}`, i % 6);
  for (let i = 0; i < 3; i++) {
    start(async ({ id }, commit) => {
      seen.push(id);
      await commit(id);
    });
  }
  await until(async () => (await undone()).length === 0);
  expect(seen).toHaveLength(60);
  expect(await changes()).toHaveLength(60);
  for (let repo = 0; repo < 6; repo++) {
    const own = seen.filter((id) => Number(id) % 6 === repo).map(Number);
    expect(own).toEqual([...own].sort((a, b) => a - b));
  }
});

test('changes and the mark of being done are one: a failure in them leaves neither', async () => {
  let attempts = 0;
  start(async ({ id }, commit) => {
    if (++attempts === 1) {
      await commit(id).then(() => undefined);
      throw new Error('after it was done: too late to matter');
    }
    await commit(id);
  });
  await record('once', 1);
  await until(async () => (await undone()).length === 0);
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(attempts).toBe(1);
  expect(await changes()).toEqual(['once']);
});

test("what passes is waited for, however long, and the repository's later deliveries wait behind it", async () => {
  const seen: string[] = [];
  let attempts = 0;
  await record('first', 1);
  await record('second', 1);
  await record('elsewhere', 2);
  start(
    async ({ id }) => {
      seen.push(id);
      if (id === 'first' && ++attempts < 9) throw new TryLater('GitHub is away.');
    },
    { retryMs: 1 },
  );
  await until(async () => (await undone()).length === 0);
  expect(attempts).toBe(9);
  expect(seen.filter((id) => id !== 'elsewhere')).toEqual([...Array(9).fill('first'), 'second']);
  expect(seen.indexOf('elsewhere')).toBeLessThan(9);
  expect(await find('first')).toMatchObject({ error: null, failures: 0, attempts: 9 });
});

test('a poison delivery is given up after five attempts, with its error, and the next one goes on', async () => {
  const seen: string[] = [];
  await record('poison', 1);
  await record('next', 1);
  start(
    async ({ id }) => {
      seen.push(id);
      if (id === 'poison') throw new TypeError('cannot read properties of undefined');
    },
    { retryMs: 1 },
  );
  await until(async () => (await undone()).length === 0);
  expect(seen).toEqual([...Array(5).fill('poison'), 'next']);
  expect(await find('poison')).toMatchObject({
    error: 'TypeError: cannot read properties of undefined',
    failures: 5,
    done_at: expect.any(Date),
  });
});

test('delivered again, one that is done stays done; one that failed or was given up is due again', async () => {
  let broken = true;
  const seen: string[] = [];
  start(
    async ({ id }) => {
      seen.push(id);
      if (id === 'bad' && broken) throw new Error('broken');
    },
    { retryMs: 1 },
  );
  await record('good', 1);
  await record('bad', 2);
  await until(async () => (await undone()).length === 0);
  broken = false;
  await record('good', 1);
  await record('bad', 2);
  await until(async () => (await find('bad')).error === null);
  expect(seen.filter((id) => id === 'good')).toHaveLength(1);
  expect(seen.filter((id) => id === 'bad')).toHaveLength(6);
});

test('one that waits for its next attempt is due at once when it is delivered again', async () => {
  let broken = true;
  start(
    async () => {
      if (broken) throw new TryLater('away');
    },
    { retryMs: 60_000 },
  );
  await record('impatient', 1);
  await until(async () => (await find('impatient')).error !== null);
  broken = false;
  await record('impatient', 1);
  await until(async () => (await undone()).length === 0);
});

test("a process that died is taken over from; come back, it can't do it a second time", async () => {
  let release: () => void = () => undefined;
  const hang = new Promise<void>((resolve) => {
    release = resolve;
  });
  const outcomes: string[] = [];
  await record('twice', 1);
  // With one at a time it can't claim the same delivery again itself.
  start(
    async (_, commit) => {
      await hang;
      await commit('by the first').catch((error: Error) => {
        outcomes.push(error.name);
        throw error;
      });
    },
    { concurrency: 1 },
  );
  await until(async () => (await find('twice')).attempts === 1);
  // As if the first had been silent for its whole lease.
  await db
    .updateTable('deliveries')
    .set({ claimed_until: new Date(0) })
    .execute();
  start(async (_, commit) => {
    await commit('by the second');
    outcomes.push('second');
  });
  await until(async () => (await undone()).length === 0);
  release();
  await until(() => outcomes.length === 2);
  expect(outcomes).toEqual(['second', 'ClaimLost']);
  expect(await changes()).toEqual(['by the second']);
});

test('one that takes long keeps its claim by signs of life', async () => {
  let times = 0;
  await record('long', 1);
  const slow = async () => {
    times++;
    await new Promise((resolve) => setTimeout(resolve, 1_500));
  };
  start(slow, { leaseSeconds: 0.6, pollMs: 100 });
  start(slow, { leaseSeconds: 0.6, pollMs: 100 });
  await until(async () => (await undone()).length === 0);
  expect(times).toBe(1);
});

test('stopping waits for what is under way, and leaves the rest on record', async () => {
  let finished = false;
  await record('under way', 1);
  await record('left', 1);
  const processor = start(async () => {
    await new Promise((resolve) => setTimeout(resolve, 200));
    finished = true;
  });
  await until(async () => (await find('under way')).attempts === 1);
  await processor.stop();
  expect(finished).toBe(true);
  expect(await undone()).toEqual(['left']);
});

test('an outage that many deliveries meet is logged once when it begins and once when it ends', async () => {
  const said: string[] = [];
  const log = pino({ level: 'info', base: null }, { write: (line: string) => void said.push(JSON.parse(line).msg) });
  let away = true;
  for (let repo = 1; repo <= 6; repo++) await record(`r${repo}`, repo);
  start(
    async ({ id }) => {
      if (away) throw new GitUnavailable(`acme/${id}`, 'no answer');
    },
    { log },
  );
  const tried = async () => (await db.selectFrom('deliveries').select('attempts').execute()).map((row) => row.attempts);
  await until(async () => (await tried()).every((attempts) => attempts >= 2));
  away = false;
  await until(async () => (await undone()).length === 0);
  expect(said).toEqual([
    'A delivery has to wait, as others may: they are tried until they can be handled',
    'Deliveries that had to wait are handled again',
  ]);
});
