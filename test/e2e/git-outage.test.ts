import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { CheckRun, MisbehaviourHandle, Repository } from '../support/github/index.js';
import { apart, resource, SETTINGS, World, workspace } from './world.js';

describe("While GitHub's git is away", () => {
  let world: World;

  beforeAll(async () => {
    world = await World.start(apart, { env: { GIT_PATIENCE: '20s' } });
  });
  afterEach(() => world.github.git.misbehaviours.stop());
  afterAll(() => world.end());

  /** A run that is known already, and starts when git is away. */
  async function waitingRun(): Promise<{
    repo: Repository;
    sha: string;
    waiting: CheckRun;
    outage: MisbehaviourHandle;
  }> {
    const { alice, github } = world;
    const repo = await world.repository();
    const files = { [SETTINGS]: workspace('network'), 'network/main.tf': resource('a', '1') };
    const first = await world.check(repo, {
      sha: await alice.push(repo, { files }),
      conclusion: 'action_required',
    });
    const sha = await alice.push(repo, { files: { 'network/main.tf': resource('a', '2') } });
    await world.check(repo, { sha, status: 'queued' });
    const outage = github.git.misbehave({ route: 'git-upload-pack', how: { status: 503 } });
    await alice.press(first, 'discard');
    const waiting = await world.check(repo, { sha, status: 'in_progress', title: /waiting for git/ });
    return { repo, sha, waiting, outage };
  }

  test('a run says that it waits, and goes on by itself', async () => {
    const { repo, sha, waiting, outage } = await waitingRun();
    expect(waiting.summary).toContain('GitHub answers with an error (503): waiting for up to 20 seconds.');
    outage.stop();
    const planned = await world.check(repo, { sha, conclusion: 'action_required' });
    expect(planned.title).toBe('1 to add, 0 to change, 0 to destroy');
  });

  test('for longer than it is waited for, the run fails and says how long that was', async () => {
    const { repo, sha } = await waitingRun();
    const failed = await world.check(repo, { sha, conclusion: 'failure' }, 60_000);
    expect(failed.title).toMatch(/^Plan errored: .+ \(503\)\. Signalbox tried for 20 seconds\.$/);
  });
});
