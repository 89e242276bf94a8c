import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { createDb, createPool, type Db } from '../../src/db/pool.js';
import { RANK, type Rank } from '../../src/queue/effect-order.js';
import { Budget, contentLimits, type Limit } from '../../src/reports/budget.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

let database: TestDatabase;
let db: Db;
let installation = 0;
beforeAll(async () => {
  database = await createTestDatabase();
  db = createDb(createPool({ connectionString: database.url, max: 8, onError: () => undefined }));
});
afterAll(async () => {
  await db.destroy();
  await database.drop();
});

const ranks: Rank[] = [RANK.answer, RANK.verdict, RANK.final, RANK.summary, RANK.progress];
const limit = (most: number, ms: number): Limit => ({ most, ms, progress: 0.75 });

/** The most writes in any span of `ms`. */
function busiest(sent: number[], ms: number): number {
  return Math.max(0, ...sent.map((at) => sent.filter((other) => other > at - ms && other <= at).length));
}

test('whatever is asked, by any of two processes: never more in any minute or hour than allowed', async () => {
  const asked = fc.record({ gap: fc.nat(40_000), rank: fc.constantFrom(...ranks), process: fc.nat(1) });
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 6 }),
      fc.integer({ min: 1, max: 15 }),
      fc.array(asked, { minLength: 10, maxLength: 60 }),
      async (perMinute, perHour, requests) => {
        installation += 1;
        let now = Date.UTC(2026, 0, 1);
        const limits = [limit(perMinute, 60_000), limit(perHour, 600_000)];
        const processes = [0, 1].map(() => new Budget(db, limits, () => new Date(now)));
        const sent: number[] = [];
        for (const { gap, rank, process } of requests) {
          now += gap;
          const verdict = await processes[process]?.spend(installation, rank);
          if (verdict?.granted) sent.push(now);
        }
        expect(busiest(sent, 60_000)).toBeLessThanOrEqual(perMinute);
        expect(busiest(sent, 600_000)).toBeLessThanOrEqual(perHour);
      },
    ),
    { numRuns: 40 },
  );
}, 60_000);

test('what is put off is granted when it was said it would be, and not before', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 5 }),
      fc.array(fc.tuple(fc.nat(30_000), fc.constantFrom(...ranks)), { maxLength: 25 }),
      async (most, requests) => {
        installation += 1;
        let now = Date.UTC(2026, 0, 1);
        const budget = new Budget(db, [limit(most, 60_000)], () => new Date(now));
        for (const [gap, rank] of requests) {
          now += gap;
          const first = await budget.spend(installation, rank);
          if (first.granted) continue;
          expect(first.next).toBeGreaterThan(0);
          now += Math.max(0, Math.floor(first.next) - 1);
          if (first.next > 1) expect(await budget.spend(installation, rank)).toMatchObject({ granted: false });
          now += 2;
          expect(await budget.spend(installation, rank)).toMatchObject({ granted: true });
        }
      },
    ),
    { numRuns: 30 },
  );
}, 60_000);

test('a hundred that ask at once, by two processes, get as many as there are', async () => {
  installation += 1;
  const processes = [new Budget(db, [limit(40, 60_000)]), new Budget(db, [limit(40, 60_000)])];
  const verdicts = await Promise.all(
    Array.from({ length: 100 }, (_, index) => processes[index % 2]?.spend(installation, RANK.answer)),
  );
  expect(verdicts.filter((verdict) => verdict?.granted)).toHaveLength(40);
});

test('keeps a part for what is more urgent: progress stops first, answers to people last', async () => {
  installation += 1;
  const budget = new Budget(db, [limit(40, 60_000)]);
  const granted: Record<number, number> = {};
  for (const rank of [...ranks].reverse()) {
    granted[rank] = 0;
    while ((await budget.spend(installation, rank)).granted) granted[rank] += 1;
  }
  expect(granted).toEqual({
    [RANK.progress]: 30,
    [RANK.summary]: 6,
    [RANK.final]: 2,
    [RANK.verdict]: 0,
    [RANK.answer]: 2,
  });
});

test('the grant itself says when there is room for the next one', async () => {
  installation += 1;
  const budget = new Budget(db, [limit(2, 60_000)], () => new Date(0));
  expect(await budget.spend(installation, RANK.answer)).toEqual({ granted: true, next: 0, ample: false });
  expect(await budget.spend(installation, RANK.answer)).toEqual({ granted: true, next: 60_000, ample: false });
  expect(await budget.spend(installation, RANK.answer)).toEqual({ granted: false, next: 60_000, ample: false });
});

test('a pause that GitHub asks for holds for that installation alone, and for other processes too', async () => {
  installation += 2;
  let now = 0;
  const clock = () => new Date(now);
  const limits = [limit(40, 60_000)];
  await new Budget(db, limits, clock).close(installation, 5_000);
  const other = new Budget(db, limits, clock);
  expect(await other.spend(installation, RANK.answer)).toMatchObject({ granted: false, next: 5_000 });
  expect(await other.spend(installation - 1, RANK.answer)).toMatchObject({ granted: true });
  now = 5_000;
  expect(await other.spend(installation, RANK.answer)).toMatchObject({ granted: true });
});

test('no more is remembered than the largest limit', async () => {
  installation += 1;
  let now = 0;
  const budget = new Budget(db, [limit(3, 1_000), limit(5, 10_000)], () => new Date(now));
  for (; now < 60_000; now += 500) await budget.spend(installation, RANK.answer);
  const row = await db
    .selectFrom('github_budgets')
    .select('writes')
    .where('installation_id', '=', installation)
    .execute();
  expect(row[0]?.writes).toHaveLength(5);
});

test('what is configured counts for a bit more than a minute and an hour: requests may arrive late', () => {
  const limits = contentLimits({ githubContentPerMinute: 80, githubContentPerHour: 500 });
  expect(limits.map(({ most, ms }) => [most, ms])).toEqual([
    [80, 65_000],
    [500, 3_660_000],
  ]);
});
