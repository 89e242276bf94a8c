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

test('an outage is waited out', async () => {
  expect(await tries(error('ECONNREFUSED'), error('57P03'))).toBe(3);
});

test.each([
  ['a broken rule of the record', error('23514')],
  ['a fault of ours', new TypeError('undefined is not a function')],
])('%s is not tried again', async (_, lasting) => {
  await expect(tries(lasting)).rejects.toBe(lasting);
});
