import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import pg from 'pg';
import type { QueueBackend } from '../../src/queue/backend.js';
import type { StageJob } from '../../src/queue/outbox.js';
import { sweep } from '../../src/queue/postgres-backend.js';
import { WorkspaceQueues } from '../../src/queue/workspace-queues.js';
import { backends, Servers, until } from './support.js';

describe.each(backends)('a workspace queue on %s', (kind) => {
  let servers: Servers;
  let backend: QueueBackend;
  let queues: WorkspaceQueues;
  let workspace = 0;
  const job = (run: string): StageJob => ({ run, workspace, speculative: false, stage: 'plan', attempt: 0 });
  const take = async () => {
    const taken = await queues.take(workspace);
    if (!taken) throw new Error('Nothing could be taken.');
    return taken;
  };

  beforeAll(async () => {
    servers = await Servers.start(kind);
    backend = await servers.open();
    queues = new WorkspaceQueues(backend);
  });
  afterAll(async () => {
    await backend.close();
    await servers.stop();
  });
  beforeEach(() => {
    workspace += 1;
  });

  test('yields nothing when it is empty, or was never used', async () => {
    expect(await queues.take(workspace)).toBeUndefined();
  });

  test('yields its jobs in order, the next one when the one before is completed', async () => {
    await queues.add(job('a'));
    await queues.add(job('b'));
    const first = await take();
    expect(first.job).toEqual(job('a'));
    expect(await queues.take(workspace)).toBeUndefined();
    await first.complete();
    const second = await take();
    expect(second.job).toEqual(job('b'));
    await second.complete();
    expect(await queues.take(workspace)).toBeUndefined();
  });

  test('carries a stage once, and takes it again when it has been completed', async () => {
    await queues.add(job('a'));
    await queues.add(job('a'));
    const first = await take();
    await queues.add(job('a'));
    await first.complete();
    expect(await queues.take(workspace)).toBeUndefined();
    await queues.add(job('a'));
    await (await take()).complete();
  });

  test('tells the stages and attempts of a run apart', async () => {
    const stages: StageJob[] = [job('a'), { ...job('a'), attempt: 1 }, { ...job('a'), stage: 'apply', attempt: 1 }];
    for (const stage of stages) await queues.add(stage);
    const taken: StageJob[] = [];
    for (let next = await queues.take(workspace); next; next = await queues.take(workspace)) {
      taken.push(next.job);
      await next.complete();
    }
    expect(taken).toEqual(stages);
  });

  test('is usable again after it was cleared, also when a taken job had saturated it', async () => {
    await queues.add(job('a'));
    await take();
    await queues.add(job('b'));
    expect(await queues.take(workspace)).toBeUndefined();
    await queues.clear(workspace);
    expect(await queues.take(workspace)).toBeUndefined();
    await queues.add(job('a'));
    expect((await take()).job).toEqual(job('a'));
  });

  test('may be cleared by several at once', async () => {
    await queues.add(job('a'));
    await take();
    await Promise.allSettled([1, 2, 3].map(() => queues.clear(workspace)));
    await queues.clear(workspace);
    await queues.add(job('a'));
    expect((await take()).job).toEqual(job('a'));
  });

  test('what is kept of an idle workspace is forgotten in time', async () => {
    await queues.add(job('a'));
    await (await take()).complete();
    if (servers.redis) {
      const redis = new Redis(servers.url);
      const keys = await redis.keys(`*:workspace-${workspace}:*`);
      await until(async () => (await Promise.all(keys.map((key) => redis.ttl(key)))).every((seconds) => seconds > 0));
      redis.disconnect();
    } else {
      const pool = new pg.Pool({ connectionString: servers.url, options: '-c search_path=bullmq' });
      const kept = async () =>
        (await pool.query('select from event where queue = $1', [`workspace-${workspace}`])).rowCount;
      await sweep(pool, Date.now() - 60_000);
      expect(await kept()).toBeGreaterThan(0);
      await sweep(pool, Date.now() + 1);
      expect(await kept()).toBe(0);
      await pool.end();
    }
  });

  test('two hundred workspaces need no more connections than one', async () => {
    await queues.add(job('a'));
    await (await take()).complete();
    const before = await servers.connections();
    for (let i = 0; i < 200; i += 1) {
      workspace += 1;
      await queues.add(job('a'));
      await (await take()).complete();
    }
    expect(await servers.connections()).toBeLessThanOrEqual(kind === 'redis' ? before : 5);
  });
});
