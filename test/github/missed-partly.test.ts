import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { webhookEvents } from '../../src/app.js';
import { MissedWebhooks } from '../../src/github/missed-webhooks.js';
import type { Person } from '../support/github/index.js';
import { World } from './world.js';

let world: World;
let alice: Person;
let counter = 0;

beforeAll(async () => {
  world = await World.start();
  alice = world.github.as('alice');
  await world.lookForMissed();
});
afterAll(() => world.close());
beforeEach(async () => {
  await world.settle();
  await world.forgetRuns();
});

const network = () => ({ 'network/main.tf': `# ${counter++}\n` });
const app = () => ({ 'app/main.tf': `# ${counter++}\n` });

test('one delivery that GitHub fails to make again keeps only later pushes of its repository waiting', async () => {
  const lost = await world.away(
    async () => {
      await alice.push(world.repo, { files: network() });
      await alice.push(world.repo, { files: network() });
      await alice.push(world.repo, { branch: 'topic', files: app() });
      await alice.openPullRequest(world.repo, { head: 'topic', title: 'A topic' });
    },
    { recorded: true },
  );
  const [first] = lost.filter(({ event }) => event === 'push');
  const trouble = world.github.misbehave({
    route: new RegExp(`/app/hook/deliveries/${first?.id}/attempts`),
    how: { status: 502 },
  });
  const options = { services: world.services, notifications: { on: () => () => undefined }, events: webhookEvents };
  await new MissedWebhooks({ ...options, everyMs: 60_000, soonMs: 60_000 }).look();
  await world.settle();
  expect(await world.runs()).toMatchObject([{ trigger: 'pull_request', speculative: true }]);
  trouble.stop();
  await world.lookForMissed();
  expect((await world.runs()).filter(({ trigger }) => trigger === 'push')).toHaveLength(2);
});

test('a repository that GitHub fails to answer for keeps no other from being compared', async () => {
  const other = await world.github.createRepository({ owner: 'acme', name: 'aaa', private: true });
  await other.setPermission('alice', 'write');
  await alice.push(other, { files: network() });
  await world.settle();
  await world.forgetRuns();
  await world.away(
    async () => {
      await alice.push(world.repo, { files: network() });
      await alice.push(other, { files: network() });
    },
    { recorded: false },
  );
  const asksForOther = ({ variables }: Record<string, unknown>) => Object.values(variables ?? {}).includes('aaa');
  const trouble = world.github.misbehave({ route: /graphql/, when: asksForOther, how: { status: 502 } });
  await world.lookForMissed().catch(() => undefined);
  expect(trouble.met).toBeGreaterThan(1);
  expect(await world.runs()).toHaveLength(1);
  trouble.stop();
  await world.lookForMissed();
  expect(await world.runs()).toHaveLength(2);
});
