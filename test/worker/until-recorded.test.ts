import { createLog } from '../../src/log.js';
import { untilRecorded } from '../../src/worker/until-recorded.js';

const log = createLog({ level: 'silent', format: 'json' });
const error = (code: string, message = 'inner') => Object.assign(new Error(message), { code });

/** Fails with these, one after the other, and then succeeds; yields how often it was tried. */
async function tries(...errors: Error[]): Promise<number> {
  let count = 0;
  await untilRecorded(async () => {
    const next = errors[count++];
    if (next) throw next;
  }, log);
  return count;
}

test.each([
  ['a connection that is refused', error('ECONNREFUSED')],
  ['a server that goes down', error('57P01')],
  ['a server that comes up', error('57P03')],
  ['a disk that is full', error('53100')],
  ['a connection that breaks', error('', 'Connection terminated unexpectedly')],
  ['a pool without a free connection', error('', 'timeout exceeded when trying to connect')],
  ['a deadlock, of which it was the victim', error('40P01')],
])('%s is waited out', async (_, passing) => expect(await tries(passing, passing)).toBe(3));

test.each([
  ['a broken rule of the record', error('23514')],
  ['a fault of ours', new TypeError('undefined is not a function')],
])('%s is not tried again', async (_, lasting) => {
  await expect(tries(lasting)).rejects.toBe(lasting);
});
