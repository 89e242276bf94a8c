import { connect } from 'node:net';
import pg from 'pg';
import { isAway } from '../../src/db/outage.js';
import { isPassing } from '../../src/github/failures.js';
import { createTestDatabase } from '../support/database.js';

const error = (code: string | undefined, message = 'inner') => Object.assign(new Error(message), code ? { code } : {});

/** The error of a query; with a database that is there. */
async function failureOf(query: (client: pg.Client) => Promise<unknown>): Promise<unknown> {
  const database = await createTestDatabase();
  const client = new pg.Client({ connectionString: database.url });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return await query(client).then(
      () => undefined,
      (failure) => failure,
    );
  } finally {
    await client.end().catch(() => undefined);
    await database.drop();
  }
}

test.each([
  ['a connection that is refused', error('ECONNREFUSED')],
  ['a host without a way to it', error('EHOSTUNREACH', 'connect EHOSTUNREACH 10.0.0.7:5432')],
  ['a network without a way to it', error('ENETUNREACH', 'connect ENETUNREACH 10.0.0.7:5432 - Local (0.0.0.0:0)')],
  ['a host that is down', error('EHOSTDOWN')],
  ['a network that is down', error('ENETDOWN')],
  ['a name that nobody answers for', error('EAI_AGAIN', 'getaddrinfo EAI_AGAIN db')],
  ['a server that goes down', error('57P01')],
  ['a server that comes up', error('57P03')],
  ['a disk that is full', error('53100')],
  ['a disk that fails', error('58030', 'could not read block 3 in file "base/5/1249": Input/output error')],
  ['a deadlock, of which it was the victim', error('40P01')],
  ['a connection that breaks', error(undefined, 'Connection terminated unexpectedly')],
  ['a connection that takes too long', error(undefined, 'Connection terminated due to connection timeout')],
  ['a pool without a free connection', error(undefined, 'timeout exceeded when trying to connect')],
  [
    'a connection that broke before',
    error(undefined, 'Client has encountered a connection error and is not queryable'),
  ],
  ['addresses of which one is refused', new AggregateError([error('EADDRNOTAVAIL'), error('ECONNREFUSED')])],
])('%s is an outage, of the record and for webhooks', (_, passing) => {
  expect(isAway(passing)).toBe(true);
  expect(isPassing(passing)).toBe(true);
});

test.each([
  ['a broken rule of the record', error('23514')],
  ['a wrong password', error('28P01')],
  ['a database that is missing', error('3D000')],
  ['a file that is missing', error('ENOENT')],
  ['a fault of ours', new TypeError('undefined is not a function')],
  ['addresses that are wrong', new AggregateError([error('EADDRNOTAVAIL')])],
  ['a word', 'ECONNREFUSED'],
  ['nothing', undefined],
])('%s is none', (_, lasting) => {
  expect(isAway(lasting)).toBe(false);
  expect(isPassing(lasting)).toBe(false);
});

test('what a socket and the database client really say is known', async () => {
  const refused = await new Promise((resolve) => {
    connect({ host: '127.0.0.1', port: 1 }).on('error', resolve);
  });
  expect(isAway(refused)).toBe(true);

  const killed = async (client: pg.Client) => {
    await client.query('select pg_terminate_backend(pg_backend_pid())').catch(() => undefined);
    await new Promise((resolve) => client.once('end', resolve));
    return client.query('select 1');
  };
  expect(isAway(await failureOf(killed))).toBe(true);
  const closed = async (client: pg.Client) => {
    await client.end();
    return client.query('select 1');
  };
  expect(isAway(await failureOf(closed))).toBe(true);
  expect(isAway(await failureOf((client) => client.query('select nothing')))).toBe(false);
});
