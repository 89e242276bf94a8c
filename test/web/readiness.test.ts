import { checkReadiness, NotReady } from '../../src/web/readiness.js';

const fine = async () => undefined;

test('ready is where every check passes', async () => {
  expect(await checkReadiness({ record: fine, queue: fine })).toEqual({
    ready: true,
    checks: { record: 'ok', queue: 'ok' },
  });
  expect(await checkReadiness({})).toEqual({ ready: true, checks: {} });
});

test('one that fails says why in our words, never in those of its error', async () => {
  const readiness = await checkReadiness({
    record: async () => {
      throw new Error('password authentication failed for user "signalbox" at 10.0.0.7');
    },
    queue: async () => {
      throw new NotReady('migrations are under way');
    },
    odd: () => Promise.reject('secret'),
    process: fine,
  });
  expect(readiness).toEqual({
    ready: false,
    checks: { record: 'does not answer', queue: 'migrations are under way', odd: 'does not answer', process: 'ok' },
  });
});

test('one that hangs is not waited for, and holds up no other', async () => {
  const started = Date.now();
  const hangs = () => new Promise(() => undefined);
  expect(await checkReadiness({ record: hangs, queue: hangs, process: fine })).toEqual({
    ready: false,
    checks: { record: 'no answer within 2 s', queue: 'no answer within 2 s', process: 'ok' },
  });
  expect(Date.now() - started).toBeLessThan(10_000);
});

describe('what waits', () => {
  const waiting = { github: { count: 3, oldestSeconds: 90, reason: 'GitHub fails or does not answer' } };

  test('is told, and makes nothing unready', async () => {
    expect(await checkReadiness({ record: fine }, async () => waiting)).toEqual({
      ready: true,
      checks: { record: 'ok' },
      waiting,
    });
  });

  test('is left out where it cannot be found out, or takes too long', async () => {
    const ready = { ready: true, checks: { record: 'ok' } };
    expect(await checkReadiness({ record: fine }, () => Promise.reject(new Error('secret')))).toEqual(ready);
    const started = Date.now();
    expect(await checkReadiness({ record: fine }, () => new Promise(() => undefined))).toEqual(ready);
    expect(Date.now() - started).toBeLessThan(10_000);
  });
});
