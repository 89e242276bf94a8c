import { expect, test } from '@jest/globals';
import { Complaints } from '../../src/queue/complaints.js';
import { SilentLog } from './support.js';

test('what goes on failing is logged once for each cause, and once when it is over', () => {
  const log = new SilentLog();
  const complaints = new Complaints(log);
  complaints.settle('git', 'It works again');
  for (const port of [4001, 4002])
    complaints.raise('git', `No git ${port}`, new Error(`ECONNREFUSED 127.0.0.1:${port}`));
  complaints.raise('git', 'No name', new Error('ENOTFOUND'));
  complaints.raise('redis', 'No Redis', new Error('ENOTFOUND'));
  for (let times = 0; times < 2; times++) complaints.settle('git', 'It works again');
  complaints.raise('git', 'No git again', new Error('ECONNREFUSED 127.0.0.1:4001'));
  expect(log.lines).toEqual(['No git 4001', 'No name', 'No Redis', 'It works again', 'No git again']);
});

test('a cause may be told by the caller, where errors name what differs', () => {
  const log = new SilentLog();
  const complaints = new Complaints(log);
  for (const name of ['acme/infra', 'acme/app'])
    complaints.raise('git', name, new Error(`${name} can't be fetched`), { repository: name }, 'GitUnavailable');
  expect(log.lines).toEqual(['acme/infra']);
});
