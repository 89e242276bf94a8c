import { expect, test } from '@jest/globals';
import { openBackend } from '../../src/queue/open-backend.js';
import { createTestDatabase } from '../support/database.js';
import { redisAvailable, startRedis } from '../support/redis.js';
import { FakeRecord, Servers, SilentLog, TestWorker, until } from './support.js';

test('several processes may start at once on a new database', async () => {
  const database = await createTestDatabase();
  const open = () => openBackend({ redisUrl: undefined, databaseUrl: database.url, log: new SilentLog() });
  const opened = await Promise.all([1, 2, 3].map(open));
  await Promise.all(opened.map((backend) => backend.ping()));
  await Promise.all(opened.map((backend) => backend.close()));
  await database.drop();
});

test('options in the database address are kept', async () => {
  const database = await createTestDatabase();
  const url = new URL(database.url);
  url.searchParams.set('options', '-c statement_timeout=4000');
  const backend = await openBackend({ redisUrl: undefined, databaseUrl: url.href, log: new SilentLog() });
  const worker = new TestWorker(backend, new FakeRecord());
  await worker.dispatch.add({ run: 'r', workspace: 1, speculative: false, stage: 'plan', attempt: 0 });
  expect((await worker.dispatch.waiting()).size).toBe(1);
  await backend.close();
  await database.drop();
});

if (redisAvailable) {
  test('a Redis that is not there when Signalbox starts is waited for, without a flood in the log', async () => {
    const redis = await startRedis();
    await redis.kill();
    const log = new SilentLog();
    const backend = await openBackend({ redisUrl: redis.url, databaseUrl: 'postgres://nowhere', log });
    const record = new FakeRecord();
    const worker = new TestWorker(backend, record);
    await worker.dispatcher.start();
    const job = record.add(1);
    await expect(worker.dispatch.add(job)).rejects.toThrow();
    await expect(backend.ping()).rejects.toThrow();
    await redis.restart();
    await until(() =>
      worker.dispatch.add(job).then(
        () => true,
        () => false,
      ),
    );
    await until(() => record.runs[0]?.state === 'done');
    expect(log.lines).toEqual(["Redis can't be reached: jobs wait", 'Redis can be reached again']);
    await worker.dispatcher.stop();
    await backend.close();
    await redis.stop();
  });

  test('a dispatcher can be stopped while Redis is away', async () => {
    const servers = await Servers.start('redis');
    const record = new FakeRecord();
    const worker = new TestWorker(await servers.open(), record);
    await worker.dispatcher.start();
    await worker.dispatch.add(record.add(1));
    await until(() => record.runs[0]?.state === 'done');
    await servers.redis?.kill();
    await worker.dispatcher.stop();
    await worker.backend.close();
    await servers.stop();
  });

  test('prefixes keep two installations on one Redis apart', async () => {
    const redis = await startRedis();
    const open = (prefix: string) =>
      openBackend({ redisUrl: redis.url, databaseUrl: 'postgres://nowhere', log: new SilentLog(), prefix });
    const workers = [
      new TestWorker(await open('one'), new FakeRecord()),
      new TestWorker(await open('two'), new FakeRecord()),
    ];
    await workers[0]?.dispatch.add({ run: 'r', workspace: 1, speculative: false, stage: 'plan', attempt: 0 });
    expect(await Promise.all(workers.map(async ({ dispatch }) => (await dispatch.waiting()).size))).toEqual([1, 0]);
    await Promise.all(workers.map(({ backend }) => backend.close()));
    await redis.stop();
  });
}
