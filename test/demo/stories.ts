import type { CheckRun } from '../support/github/index.js';
import { NotAsTold } from './narrator.js';
import { pushSample } from './place.js';
import { app, DNS, MISTAKE, network, SERVICE_MODULE_WITH_ALARM } from './sample.js';
import type { Scene } from './scene.js';

/** A push: planned, and applied by the button. */
export async function appliedByTheButton(scene: Scene): Promise<void> {
  const { narrator, place, alice } = scene;
  narrator.chapter('A push is planned, and applied by the button');
  narrator.say(
    'alice pushes to main of acme/infra: two workspaces, network and app, named in .github/signalbox.yml. Each gets a run.',
  );
  const sha = await pushSample(place);
  const planned = await scene.untilChecks('A push to main is planned', sha, [
    { name: 'signalbox/network', conclusion: 'action_required', title: '8 to add' },
    { name: 'signalbox/app', conclusion: 'action_required', title: '2 to add' },
  ]);
  for (const run of planned) narrator.checkRun(run, { brief: run !== planned[0] });

  narrator.say('Nothing has been changed yet. alice has read both plans, and presses Apply on each.');
  for (const run of planned) await alice.press(run, 'apply');
  const applied = await scene.untilChecks('Apply is pressed on both', sha, [
    { name: 'signalbox/network', conclusion: 'success', title: '8 added' },
    { name: 'signalbox/app', conclusion: 'success', title: '2 added' },
  ]);
  for (const run of applied) narrator.checkRun(run, { brief: run !== applied[0] });
}

/** A pull request: planned, applied by a comment, and merged. */
export async function appliedByTheComment(scene: Scene): Promise<void> {
  const { narrator, infra, alice, bob } = scene;
  narrator.chapter('A pull request is planned, and applied by a comment');
  narrator.say('bob opens a pull request: a second gateway, and DNS. Its plan is speculative: it waits for nobody.');
  const files = { 'network/main.tf': network({ gateway: 'two gateways', more: DNS }) };
  await bob.push(infra, { branch: 'dns', from: 'main', message: 'Add DNS and a second gateway', files });
  const { number, headSha } = await bob.openPullRequest(infra, { head: 'dns', title: 'Add DNS and a second gateway' });
  const [plan] = await scene.untilChecks(`Pull request #${number} is planned`, headSha, [
    { name: 'signalbox/network (plan)', conclusion: 'success', title: '1 to add, 1 to change' },
    { name: 'signalbox', conclusion: 'success', title: '1 of 1 workspace would change' },
  ]);
  if (plan) narrator.checkRun(plan);
  await scene.untilComment(number, 'Planned');

  narrator.say('alice agrees with this plan. The fresh plan makes the same changes, so it is applied at once.');
  await scene.command(alice, number, 'apply');
  const [applied] = await scene.untilChecks("The comment 'apply'", headSha, [
    { name: 'signalbox/network', conclusion: 'success', title: '1 added, 1 changed' },
  ]);
  if (applied) narrator.checkRun(applied);
  await scene.untilComment(number, 'held until merged');

  narrator.say('bob merges what is already real. The run of the merge finds nothing left to do.');
  const merge = await bob.merge(infra, number);
  const [nothing] = await scene.untilChecks(`#${number} is merged`, merge, [
    { name: 'signalbox/network', conclusion: 'success', title: 'No changes' },
  ]);
  if (nothing) narrator.checkRun(nothing);
}

/** What would be applied isn't what was reviewed. */
export async function stoppedAsChanged(scene: Scene): Promise<void> {
  const { narrator, place, infra, alice, bob } = scene;
  narrator.chapter('A plan that changed since its review is stopped');
  narrator.say('alice opens a pull request that adds a service to app. The plan: one resource.');
  const files = { 'app/main.tf': app(place.moduleSource, ['web', 'search', 'mail']) };
  await alice.push(infra, { branch: 'mail', from: 'main', message: 'Add mail', files });
  const { number, headSha } = await alice.openPullRequest(infra, { head: 'mail', title: 'Add mail' });
  const [plan] = await scene.untilChecks(`Pull request #${number} is planned`, headSha, [
    { name: 'signalbox/app (plan)', conclusion: 'success', title: '1 to add' },
    { name: 'signalbox', conclusion: 'success', title: '1 of 1 workspace would change' },
  ]);
  if (plan) narrator.checkRun(plan);

  narrator.say(
    'app takes its module from main of acme/modules, and bob pushes there: each service gets an alarm. No commit of the pull request has changed. Then alice applies what she has reviewed.',
  );
  const module = { 'service/main.tf': SERVICE_MODULE_WITH_ALARM };
  await bob.push(place.modules, { message: 'An alarm for each service', files: module });
  await scene.command(alice, number, 'apply');
  const [stopped] = await scene.untilChecks("'apply', but the module has changed", headSha, [
    { name: 'signalbox/app', conclusion: 'action_required', title: 'Differs from the reviewed plan: 4 to add' },
  ]);
  if (!stopped) return;
  narrator.checkRun(stopped);

  narrator.say('Four resources are not the one that she approved, so nothing was applied. She presses Discard.');
  await alice.press(stopped, 'discard');
  await scene.untilShows('Discard is pressed', stopped, {
    name: 'signalbox/app',
    conclusion: 'cancelled',
    title: 'Discarded',
  });
  narrator.checkRun(stopped, { brief: true });
}

/** A mistake in the configuration, shown where it is. */
export async function errorOnItsLine(scene: Scene): Promise<void> {
  const { narrator, infra, bob } = scene;
  narrator.chapter("Terraform's error stands on its line");
  narrator.say('bob opens a pull request with a slip of the pen in it.');
  const files = { 'network/main.tf': network({ gateway: 'two gateways', more: DNS + MISTAKE }) };
  await bob.push(infra, { branch: 'output', from: 'main', message: 'Show the gateway', files });
  const { number, headSha } = await bob.openPullRequest(infra, { head: 'output', title: 'Show the gateway' });
  const [failed] = await scene.untilChecks(`Pull request #${number} has a mistake`, headSha, [
    { name: 'signalbox/network (plan)', conclusion: 'failure', title: 'Plan errored' },
    { name: 'signalbox', conclusion: 'failure', title: '' },
  ]);
  if (!failed) return;
  narrator.checkRun(failed, { brief: true, sources: files });
  expectAnnotation(failed, files['network/main.tf']);
  await scene.untilComment(number, 'failed');
}

function expectAnnotation({ annotations }: CheckRun, source: string): void {
  const line = source.split('\n').findIndex((text) => text.includes('gatewy')) + 1;
  const [annotation] = annotations;
  if (annotation?.path !== 'network/main.tf' || annotation.start_line !== line) {
    const where = annotation ? `${annotation.path}:${annotation.start_line}` : 'nowhere';
    throw new NotAsTold(`the annotation should be on network/main.tf:${line}, and is ${where}`);
  }
}
