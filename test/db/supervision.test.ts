import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import pg from 'pg';
import { notify } from '../../src/db/notifications.js';
import { type OpenRecord, openRecord } from '../../src/db/record.js';
import { serverProcesses } from '../../src/db/server-processes.js';
import type { Log } from '../../src/log.js';
import { SilentLog, until } from '../queue/support.js';

let directory: string;
let data: string;
let record: OpenRecord;
let log: SilentLog;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'signalbox-supervision-'));
  data = join(directory, 'postgres', 'data');
  log = new SilentLog();
  record = await openRecord({ databaseUrl: undefined, dataDirectory: directory, slots: 4, log: log as unknown as Log });
  await sql`create table kept (writer integer, number integer)`.execute(record.db);
});
afterEach(async () => {
  await record.close();
  expect(await serverProcesses(data)).toEqual([]);
  rmSync(directory, { recursive: true, force: true });
});

const serverPid = () => Number(readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n')[0]);
const kill = (pid: number) => execFileSync('kill', ['-9', String(pid)]);
const answers = () =>
  record.ping().then(
    () => true,
    () => false,
  );
/** What the log says of the server's life. */
const lives = () => log.lines.filter((line) => /embedded|tried again/.test(line));

/** Kills the server, and waits until another one answers. */
async function dieAndComeBack(): Promise<void> {
  const before = serverPid();
  kill(before);
  await until(() => existsSync(join(data, 'postmaster.pid')) && serverPid() !== before, 60_000);
  await until(answers, 60_000);
}

test('killed in the middle of transactions it comes back on its port, with all that was committed', async () => {
  const committed: string[] = [];
  let writing = true;
  const write = async (writer: number) => {
    for (let number = 0; writing; number += 1) {
      await record.db
        .transaction()
        .execute(async (tx) => {
          await sql`insert into kept values (${writer}, ${number})`.execute(tx);
          await sleep(2);
        })
        .then(
          () => committed.push(`${writer}/${number}`),
          () => sleep(20),
        );
    }
  };
  const heard: string[] = [];
  record.notifications.on('runs', (subject) => heard.push(subject));
  const writers = [1, 2, 3].map(write);
  const { url } = record;
  for (let death = 1; death <= 2; death += 1) {
    const before = committed.length;
    await until(() => committed.length > before + 50);
    await dieAndComeBack();
    const after = committed.length;
    await until(() => committed.length > after + 20);
  }
  writing = false;
  await Promise.all(writers);

  expect(record.url).toBe(url);
  const { rows } = await sql<{ writer: number; number: number }>`select * from kept`.execute(record.db);
  const kept = new Set(rows.map(({ writer, number }) => `${writer}/${number}`));
  expect(committed.filter((each) => !kept.has(each))).toEqual([]);
  await until(async () => {
    await notify(record.db, 'runs', 'run-after');
    return heard.includes('run-after');
  });
  expect(lives()).toEqual([
    'The embedded PostgreSQL has died: it is started again',
    'The embedded PostgreSQL runs again',
    'The embedded PostgreSQL has died: it is started again',
    'The embedded PostgreSQL runs again',
  ]);
});

test('processes that it left behind, too busy to notice, are ended before it is started again', async () => {
  const client = new pg.Client({ connectionString: record.url });
  client.on('error', () => undefined);
  await client.connect();
  const { rows } = await client.query('select pg_backend_pid() as pid');
  const busy = client.query('do $$ begin loop null; end loop; end $$').catch(() => 'ended');
  await sleep(300);
  kill(serverPid());
  await sleep(1_000);
  expect(await serverProcesses(data)).toEqual([rows[0].pid]);
  await until(answers, 60_000);
  expect(await busy).toBe('ended');
  expect(await serverProcesses(data)).not.toContain(rows[0].pid);
});

test('what keeps it from starting is told once, and it starts when that is gone', async () => {
  const auto = join(data, 'postgresql.auto.conf');
  execFileSync('sh', ['-c', `echo 'max_connections = none' >> ${auto}`]);
  kill(serverPid());
  await until(() => log.lines.includes('It is tried again until it starts'), 30_000);
  await sleep(3_000);
  execFileSync('sed', ['-i', '/none/d', auto]);
  await until(answers, 60_000);
  await until(() => lives().length === 3);
  expect(lives()).toEqual([
    'The embedded PostgreSQL has died: it is started again',
    'It is tried again until it starts',
    'The embedded PostgreSQL runs again',
  ]);
});

test('one that dies while everything is stopped stays dead', async () => {
  const pid = serverPid();
  const closing = record.close();
  kill(pid);
  await closing;
  await sleep(1_500);
  expect(await serverProcesses(data)).toEqual([]);
  record = await openRecord({ databaseUrl: undefined, dataDirectory: directory, slots: 4, log: log as unknown as Log });
  expect(await answers()).toBe(true);
});
