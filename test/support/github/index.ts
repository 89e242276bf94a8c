/**
 * The local GitHub: a GitHub Enterprise Server in the test's own process, over real git repositories.
 *
 *     const github = await LocalGitHub.start({ directory, webhook: { url, secret } });
 *     await github.createUser('alice');
 *     await github.createOrganization('acme', { owners: ['alice'] });
 *     const repo = await github.createRepository({ owner: 'acme', name: 'infra', private: true });
 *     const sha = await github.as('alice').push(repo, { message: 'Begin', files: { 'main.tf': '' } });
 *     await github.settled();
 *     await github.close();
 */
export type { Account } from './accounts.js';
export type { App, AppOptions, Installation, InstallationToken, Permissions } from './app.js';
export { DEFAULT_EVENTS, DEFAULT_PERMISSIONS } from './app.js';
export type { Annotation, CheckAction, CheckReport, CheckRun, CheckSuite } from './checks.js';
export type { Comment, Reaction } from './comments.js';
export type { LocalGitHubOptions, LoggedRequest, Violation, WebhookOptions } from './local-github.js';
export { LocalGitHub } from './local-github.js';
export type { MergeGroup, MergeMethod } from './merging.js';
export type { How, Misbehaviour, MisbehaviourHandle } from './misbehave.js';
export type { CommitOptions, FileChange, PullHandle, PushOptions } from './person.js';
export { Person } from './person.js';
export type { Issue, Pull, PullOptions, Review, ReviewState } from './pulls.js';
export type { RepositoryOptions } from './repositories.js';
export type { Protection, RequiredCheck, Role } from './repository.js';
export { Repository } from './repository.js';
export type { CommitStatus, StatusReport, StatusState } from './statuses.js';
export type { Delivery } from './webhooks.js';
