import { createDb, createPool, type Db } from '../../src/db/pool.js';
import { claimStage } from '../../src/runs/claim.js';
import { createRun } from '../../src/runs/create.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

let database: TestDatabase;
let db: Db;
beforeAll(async () => {
  database = await createTestDatabase();
  db = createDb(createPool({ connectionString: database.url, max: 4, onError: () => undefined }));
});
afterAll(async () => {
  await db.destroy();
  await database.drop();
});
test('x', async () => {
  await db
    .insertInto('repositories')
    .values({ id: 1, installation_id: 1, owner: 'a', name: 'b', default_branch: 'main' })
    .execute();
  const workspace = await db
    .insertInto('workspaces')
    .values({
      repository_id: 1,
      name: 'w',
      directory: '.',
      branch: 'main',
      auto_apply: false,
      trigger_prefixes: [],
      trigger_patterns: [],
      apply_requirements: [],
      supersede_pending: false,
    })
    .returningAll()
    .executeTakeFirstOrThrow();
  const make = (sha: string) =>
    db
      .transaction()
      .execute((tx) =>
        createRun(tx, {
          workspace,
          speculative: false,
          trigger: 'push',
          actor: 'alice',
          commitSha: sha,
          commitMessage: 'm',
          branch: 'main',
        }),
      );
  const a = (await make('a')).run;
  const b = (await make('b')).run;
  expect((await db.selectFrom('outbox').select(['kind', 'subject']).execute()).filter((x) => x.kind === 'job')).toEqual(
    [{ kind: 'job', subject: `${a.id}-plan-0` }],
  );
  expect(
    await claimStage(db, { run: b.id, workspace: workspace.id, speculative: false, stage: 'plan', attempt: 0 }, 'w1'),
  ).toBeUndefined();
  const claims = await Promise.all(
    [1, 2, 3].map(() =>
      claimStage(db, { run: a.id, workspace: workspace.id, speculative: false, stage: 'plan', attempt: 0 }, 'w1'),
    ),
  );
  expect(claims.filter(Boolean)).toHaveLength(1);
});
