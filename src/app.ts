import type { ApplicationFunction, Context } from 'probot';
import { button } from './github/check-run.js';
import { comment } from './github/comment.js';
import {
  type EventName,
  type InstallationReceived,
  onInstallation,
  onRepository,
  type Received,
  type Services,
} from './github/handling.js';
import { installation, installationRepositories, repository } from './github/installation.js';
import { mergeGroup } from './github/merge-group.js';
import { pullRequest } from './github/pull-request.js';
import { push } from './github/push.js';
import { rerunCheck, rerunSuite } from './github/rerun.js';

/** Which webhook goes to which handler. What isn't named here isn't even recorded. */
const repositoryEvents: { readonly [E in EventName]?: (event: Received<E>) => Promise<void> } = {
  push,
  'pull_request.opened': pullRequest,
  'pull_request.reopened': pullRequest,
  'pull_request.synchronize': pullRequest,
  'pull_request.ready_for_review': pullRequest,
  'pull_request.edited': pullRequest,
  'pull_request.closed': pullRequest,
  'merge_group.checks_requested': mergeGroup,
  'merge_group.destroyed': mergeGroup,
  'issue_comment.created': comment,
  'check_run.requested_action': button,
  'check_run.rerequested': rerunCheck,
  'check_suite.rerequested': rerunSuite,
  'repository.renamed': repository,
  'repository.transferred': repository,
  'repository.edited': repository,
  'repository.archived': repository,
  'repository.unarchived': repository,
  'repository.deleted': repository,
};

const installationEvents: { readonly [E in EventName]?: (event: InstallationReceived<E>) => Promise<void> } = {
  'installation.created': installation,
  'installation.deleted': installation,
  'installation.suspend': installation,
  'installation.unsuspend': installation,
  'installation.new_permissions_accepted': installation,
  'installation_repositories.added': installationRepositories,
  'installation_repositories.removed': installationRepositories,
};

export const webhookEvents: ReadonlySet<string> = new Set([
  ...Object.keys(repositoryEvents),
  ...Object.keys(installationEvents),
]);

export function createApp(services: Services): ApplicationFunction {
  return (probot) => {
    const on = probot.on as (name: string, handle: (context: Context<never>) => Promise<void>) => void;
    for (const [name, handle] of Object.entries(repositoryEvents)) on(name, onRepository(services, handle as never));
    for (const [name, handle] of Object.entries(installationEvents))
      on(name, onInstallation(services, handle as never));
  };
}
