import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { mkdtemp, readFile } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { print } from '../bench/output.js';
import { environmentFor, freePort, NO_APP } from '../support/signalbox.js';
import { readOptions } from './options.js';
import { LOST_AFTER_SECONDS, Place } from './place.js';
import { Supervised } from './supervised.js';

/**
 * `npx tsx test/chaos/two-hosts.ts`, as root, after `npm run build`: a worker on a host of its own (a network namespace) is cut
 * off in the middle of an apply, and comes back. Fails unless nothing of its later writes enters the state, the workspace is
 * held and says why, and the next run goes on after it was unlocked.
 */
const call = promisify(execFile);
const ip = (args: string[]) => call('ip', args);
const PROGRAM = fileURLToPath(new URL('../../dist/index.js', import.meta.url));
const HERE = '10.231.7.1';
const THERE = '10.231.7.2';
const LIMIT_MS = 10 * 60_000;

/** A host of its own, at the other end of a cable that can be pulled out. */
class Host {
  readonly #name = `signalbox-${process.pid}`;
  readonly #cable = `sb${process.pid % 100_000}`;
  readonly #proxies: Server[] = [];

  async open(): Promise<void> {
    await ip(['netns', 'add', this.#name]);
    await ip(['link', 'add', this.#cable, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', this.#name]);
    await ip(['addr', 'add', `${HERE}/30`, 'dev', this.#cable]);
    await ip(['-n', this.#name, 'addr', 'add', `${THERE}/30`, 'dev', 'eth0']);
    await ip(['-n', this.#name, 'link', 'set', 'lo', 'up']);
    await ip(['-n', this.#name, 'link', 'set', 'eth0', 'up']);
    await this.plugIn();
  }

  plugIn = () => ip(['link', 'set', this.#cable, 'up']);
  pullOut = () => ip(['link', 'set', this.#cable, 'down']);

  /** Lets the other host reach a loopback port of this one. The address to use there. */
  async reach(address: string): Promise<string> {
    const url = new URL(address);
    const target = Number(url.port);
    const server = createServer((from) => {
      const to = connect(target, '127.0.0.1');
      for (const [one, other] of [
        [from, to],
        [to, from],
      ] as const) {
        one.pipe(other);
        one.on('error', () => other.destroy());
        one.on('close', () => other.destroy());
      }
    });
    await new Promise<void>((resolve) => server.listen(0, HERE, resolve));
    this.#proxies.push(server);
    url.host = `${HERE}:${(server.address() as { port: number }).port}`;
    return url.href;
  }

  run(directory: string, env: Record<string, string>) {
    const log = openSync(join(directory, 'far.log'), 'a');
    const args = ['netns', 'exec', this.#name, process.execPath, PROGRAM];
    const child = spawn('ip', args, { cwd: directory, env, stdio: ['ignore', log, log] });
    closeSync(log);
    return child;
  }

  async close(): Promise<void> {
    for (const proxy of this.#proxies) proxy.close();
    await ip(['link', 'del', this.#cable]).catch(() => undefined);
    await ip(['netns', 'del', this.#name]).catch(() => undefined);
  }
}

function configuration(journal: string, version: string): string {
  const step = (name: string, after: string | undefined, seconds: number) => `resource "terraform_data" "${name}" {
  triggers_replace = "${version}"
  ${after ? `depends_on = [terraform_data.${after}]` : ''}
  provisioner "local-exec" {
    command = "echo ${version} ${name} >> ${journal}; sleep ${seconds}"
  }
}
`;
  const [long, longer] = version === 'v1' ? [LOST_AFTER_SECONDS + 20, 300] : [1, 1];
  return [
    step('first', undefined, 1),
    step('second', 'first', 22),
    step('third', 'second', long),
    step('fourth', 'third', longer),
  ].join('');
}

async function main(place: Place, host: Host, directory: string): Promise<string[]> {
  await place.open();
  await host.open();
  const { github } = place;
  const journal = join(directory, 'steps');
  const steps = async () => (await readFile(journal, 'utf8').catch(() => '')).split('\n').filter(Boolean);
  const common = {
    ...environmentFor(github),
    ENCRYPTION_KEY: place.encryptionKey.toString('hex'),
    WORKER_LOST_AFTER: String(LOST_AFTER_SECONDS),
    SANDBOX_PATHS: `${directory}:rw`,
    ROLES: 'worker',
    ...NO_APP,
  };
  const far = host.run(directory, {
    ...common,
    GHE_HOST: new URL(await host.reach(github.url)).host,
    DATABASE_URL: await host.reach(place.postgres.url),
    ...(place.redis && { REDIS_URL: await host.reach(place.redis.url) }),
    WORKER_NAME: 'far',
    DATA_DIR: join(directory, 'far'),
    PORT: String(await freePort()),
  });
  const repository = place.repository('platform');
  const alice = github.as('alice');
  const settings = 'workspaces:\n  - name: network\n    directory: network\n    auto-apply: true\n';
  const push = (version: string, files: Record<string, string> = {}) =>
    alice.push(repository, { files: { ...files, 'network/main.tf': configuration(journal, version) } });
  const one = async <Row extends object>(query: string) => (await place.query<Row & Record<string, unknown>>(query))[0];
  const states = async () => Number((await one<{ count: string }>('select count(*) from state_versions'))?.count);

  await push('v1', { '.github/signalbox.yml': settings });
  await github.until(
    'the first state of the far host',
    async () => (await states()) > 0 && (await steps()).length === 3,
    120_000,
  );
  await host.pullOut();
  print('The far host is cut off, in the middle of its apply.');
  const near = new Supervised('near', await freePort(), directory, {
    ...common,
    DATABASE_URL: place.postgres.url,
    ...(place.redis && { REDIS_URL: place.redis.url }),
    WORKER_NAME: 'near',
  });
  near.start();
  try {
    const lost = async () =>
      (await one<{ state: string }>(`select state from runs where state = 'apply_errored'`)) !== undefined;
    await github.until('the far host to be declared lost', lost, (LOST_AFTER_SECONDS + 60) * 1_000);
    const before = await states();
    const lock = await one<{ locked_by: string | null; lock_reason: string }>(
      'select locked_by, lock_reason from workspaces',
    );
    print(`Locked: ${lock?.lock_reason}`);
    const next = await push('v2');
    await github.until('the far Terraform to go on alone', async () => (await steps()).includes('v1 fourth'), 120_000);
    await host.plugIn();
    const told = async () => (await one(`select 1 from run_events where type = 'handed_in'`)) !== undefined;
    await github.until('the far host to hand in what it has', told, 120_000);
    print(
      `It is back: ${(await one<{ detail: string }>(`select detail from run_events where type = 'handed_in'`))?.detail}`,
    );
    const after = await states();
    const waits = await one<{ state: string }>(`select state from runs where commit_sha = '${next}'`);

    await alice.push(repository, { branch: 'talk', files: { 'README.md': 'A place to talk.\n' } });
    const pull = await alice.openPullRequest(repository, { head: 'talk', title: 'Talk' });
    await github.as('root').comment(repository, pull.number, 'unlock network');
    const applied = async () =>
      (await one(`select 1 from runs where commit_sha = '${next}' and state = 'applied'`)) !== undefined;
    await github.until('the next run to be applied', applied, 180_000);
    const last = await one<{ resources: number }>('select resources from state_versions order by id desc limit 1');
    print(`State versions: ${before} when it was lost, ${after} when it was back, ${await states()} at the end`);
    return [
      ...(after === before ? [] : ['something of its later writes entered the state']),
      ...(lock?.locked_by === null && lock.lock_reason.includes('far') ? [] : ['the lock does not say why']),
      ...(waits?.state === 'pending' ? [] : [`the next run did not wait: it was ${waits?.state}`]),
      ...(last?.resources === 4 ? [] : ['the last state is not complete']),
    ];
  } finally {
    const gone = once(far, 'exit');
    far.kill('SIGTERM');
    await Promise.all([near.stop(), gone]);
  }
}

const directory = await mkdtemp(join(tmpdir(), 'signalbox-hosts-'));
const [backend = 'redis'] = process.argv.slice(2);
const place = new Place(directory, {
  ...readOptions(['--backend', backend, '--calm', '--sandbox', 'auto']),
  workers: 0,
});
const host = new Host();
setTimeout(() => process.exit(1), LIMIT_MS).unref();
const problems = await main(place, host, directory).catch((error: unknown) => [String(error)]);
await host.close();
await place.close({ keep: problems.length > 0 });
for (const problem of problems) print(`NOT RIGHT: ${problem}`);
print(problems.length === 0 ? 'All is right.' : `What is left of it is in ${directory}`);
process.exit(problems.length === 0 ? 0 : 1);
