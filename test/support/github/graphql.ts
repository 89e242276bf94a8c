import {
  buildSchema,
  type DocumentNode,
  defaultFieldResolver,
  execute,
  GraphQLError,
  type GraphQLFieldResolver,
  type GraphQLSchema,
  parse,
  validate,
} from 'graphql';
import { canSee } from './actor.js';
import type { Call, Json } from './http.js';
import { nodeId } from './ids.js';
import { isRequired, latestOpinions, mergeState, reviewDecision } from './merge-state.js';
import { mergeability, type Pull, type Review } from './pulls.js';
import { type Repository, repositoryJson } from './repository.js';
import { type RollupContext, rollup, rollupState } from './rollup.js';

let schema: GraphQLSchema | undefined;

/** GitHub's public schema: 1.2 MB, read and parsed on first use. */
async function githubSchema(): Promise<GraphQLSchema> {
  if (!schema) {
    const { schema: published } = await import('@octokit/graphql-schema');
    schema = buildSchema(published.idl, { assumeValid: true });
  }
  return schema;
}

/** Answers a query. Of the schema only what hangs on `repository` has values; the rest answers null or an error. */
export async function answerGraphql(call: Call): Promise<Json> {
  let document: DocumentNode;
  try {
    document = parse(call.text('query') ?? '');
  } catch (error) {
    return { errors: [{ message: (error as Error).message }] };
  }
  const invalid = validate(await githubSchema(), document);
  if (invalid.length > 0) {
    call.github.violations.push({ request: 'POST /api/graphql', errors: invalid.map((error) => error.message) });
    return { errors: invalid.map(validationError) };
  }
  const result = await execute({
    schema: await githubSchema(),
    document,
    rootValue: new Root(call),
    fieldResolver: resolve,
    variableValues: (call.body.variables ?? {}) as Json,
  });
  const errors = result.errors?.map(executionError);
  return { data: result.data ?? null, ...(errors ? { errors } : {}) };
}

/** A field that GitHub has and we don't serve is an error: null would be taken for an answer. */
const resolve: GraphQLFieldResolver<Json, unknown> = (source, args, context, info) => {
  if (!(info.fieldName in source)) {
    throw new GraphQLError(`the local GitHub doesn't serve ${info.parentType.name}.${info.fieldName}`);
  }
  return defaultFieldResolver(source, args, context, info);
};

function validationError(error: GraphQLError): Json {
  const [, field, type] = /^Cannot query field "(\w+)" on type "(\w+)"/.exec(error.message) ?? [];
  if (!field) return { locations: error.locations, message: error.message };
  const extensions = { code: 'undefinedField', typeName: type, fieldName: field };
  return {
    path: ['query'],
    extensions,
    locations: error.locations,
    message: `Field '${field}' doesn't exist on type '${type}'`,
  };
}

function executionError(error: GraphQLError): Json {
  const { type } = error.extensions as { type?: string };
  return { ...(type ? { type } : {}), path: error.path, locations: error.locations, message: error.message };
}

function fail(type: string, message: string): never {
  throw new GraphQLError(message, { extensions: { type } });
}

/** Throws GitHub's FORBIDDEN where the App's token lacks a permission. */
function need(call: Call, permission: string): void {
  const { actor } = call;
  if (actor.kind === 'installation' && !actor.token.permits(permission))
    fail('FORBIDDEN', 'Resource not accessible by integration');
}

class Root {
  constructor(private readonly call: Call) {}

  viewer(): Json {
    const { actor } = this.call;
    if (actor.kind !== 'user' && actor.kind !== 'installation') return fail('FORBIDDEN', 'Requires authentication');
    return { login: actor.account.login, databaseId: actor.account.id };
  }

  repository({ owner, name }: { owner: string; name: string }): Json {
    const repository = this.call.github.repositories.find(owner, name);
    if (!repository || !canSee(this.call.actor, repository)) {
      return fail('NOT_FOUND', `Could not resolve to a Repository with the name '${owner}/${name}'.`);
    }
    return repositoryNode(this.call, repository);
  }
}

function repositoryNode(call: Call, repository: Repository): Json {
  const json = repositoryJson(repository);
  return {
    __typename: 'Repository',
    id: json.node_id,
    databaseId: repository.id,
    name: repository.name,
    nameWithOwner: repository.fullName,
    isPrivate: repository.private,
    isFork: repository.parent !== undefined,
    url: json.html_url,
    isArchived: repository.archived,
    pushedAt: repository.pushedAt,
    defaultBranchRef: () => refNode(call, repository, `refs/heads/${repository.defaultBranch}`),
    ref: ({ qualifiedName }: { qualifiedName: string }) => refNode(call, repository, qualifiedName),
    pullRequests: (page: Page & { orderBy?: { field: string; direction: string } }) => {
      need(call, 'pull_requests:read');
      return connection(sorted(repository.pulls(), page.orderBy), page, (pull) => pullNode(call, pull));
    },
    pullRequest: ({ number }: { number: number }) => {
      need(call, 'pull_requests:read');
      const pull = repository.issues.get(number)?.pull;
      return pull
        ? pullNode(call, pull)
        : fail('NOT_FOUND', `Could not resolve to a PullRequest with the number of ${number}.`);
    },
  };
}

async function refNode(call: Call, repository: Repository, name: string): Promise<Json | null> {
  need(call, 'contents:read');
  const oid = (await repository.refs()).get(name);
  return oid
    ? { __typename: 'Ref', name: name.replace('refs/heads/', ''), target: { __typename: 'Commit', oid } }
    : null;
}

function sorted(pulls: Pull[], order?: { field: string; direction: string }): Pull[] {
  const key = ({ issue }: Pull) => (order?.field === 'UPDATED_AT' ? issue.updatedAt : issue.createdAt);
  const up = [...pulls].sort(
    (one, other) => key(one).localeCompare(key(other)) || one.issue.number - other.issue.number,
  );
  return order?.direction === 'DESC' ? up.reverse() : up;
}

function pullNode(call: Call, pull: Pull): Json {
  const { issue, repository } = pull;
  const commit = () => commitNode(call, pull, pull.headSha);
  return {
    __typename: 'PullRequest',
    id: nodeId('PullRequest', pull.id),
    databaseId: pull.id,
    number: issue.number,
    title: issue.title,
    body: issue.body ?? '',
    url: `${call.github.url}/${repository.fullName}/pull/${issue.number}`,
    state: pull.merged ? 'MERGED' : issue.state.toUpperCase(),
    isDraft: pull.draft,
    isCrossRepository: pull.headRepository !== repository,
    merged: pull.merged,
    closed: issue.state === 'closed',
    mergedAt: pull.mergedAt,
    updatedAt: issue.updatedAt,
    mergeCommit: pull.merged && pull.mergeCommitSha ? { oid: pull.mergeCommitSha } : null,
    mergeable: async () =>
      ({ true: 'MERGEABLE', false: 'CONFLICTING', null: 'UNKNOWN' })[
        String(issue.state === 'open' ? await mergeability(pull, 'ask') : null)
      ],
    mergeStateStatus: async () => (await mergeState(pull, await mergeability(pull, 'ask'))).toUpperCase(),
    reviewDecision: () => reviewDecision(pull),
    reviews: (page: Page) => connection(pull.reviews, page, reviewNode),
    latestOpinionatedReviews: ({ writersOnly = false, ...page }: Page & { writersOnly?: boolean }) =>
      connection(latestOpinions(pull, writersOnly), page, reviewNode),
    headRefName: pull.headRef,
    headRefOid: pull.headSha,
    baseRefName: pull.baseRef,
    baseRefOid: pull.baseSha,
    author: { __typename: issue.user.type, login: issue.user.login },
    headRepository: repositoryNode(call, pull.headRepository),
    headRepositoryOwner: { __typename: pull.headRepository.owner.type, login: pull.headRepository.owner.login },
    baseRepository: () => repositoryNode(call, repository),
    repository: () => repositoryNode(call, repository),
    commits: () => ({ totalCount: 1, nodes: [{ commit: commit() }], pageInfo: lastPage }),
    statusCheckRollup: () => rollupNode(call, pull, pull.headSha),
  };
}

const lastPage = { hasNextPage: false, hasPreviousPage: false, endCursor: null, startCursor: null };

interface Page {
  first?: number;
  after?: string;
}

function reviewNode(review: Review): Json {
  const { id, state, body, submittedAt, user, commitId } = review;
  const author = { __typename: user.type, login: user.login };
  return {
    __typename: 'PullRequestReview',
    databaseId: id,
    state,
    body,
    submittedAt,
    author,
    commit: { oid: commitId },
  };
}

function commitNode(call: Call, pull: Pull, sha: string): Json {
  return { oid: sha, abbreviatedOid: sha.slice(0, 7), statusCheckRollup: () => rollupNode(call, pull, sha) };
}

function rollupNode(call: Call, pull: Pull, sha: string): Json | null {
  need(call, 'checks:read');
  need(call, 'statuses:read');
  const contexts = rollup(pull.repository, sha);
  if (contexts.length === 0) return null;
  return {
    id: nodeId('StatusCheckRollup', sha),
    state: rollupState(contexts),
    commit: () => commitNode(call, pull, sha),
    contexts: (page: Page) => connection(contexts, page, (each) => contextNode(pull, each)),
  };
}

function connection<T>(items: readonly T[], { first = 100, after }: Page, node: (item: T) => Json): Json {
  if (first > 100)
    fail(
      'EXCESSIVE_PAGINATION',
      `Requesting ${first} records on the connection exceeds the \`first\` limit of 100 records.`,
    );
  const start = after ? Number(Buffer.from(after, 'base64').toString()) : 0;
  const end = Math.min(start + first, items.length);
  const cursor = Buffer.from(String(end)).toString('base64');
  const pageInfo = {
    hasNextPage: end < items.length,
    hasPreviousPage: start > 0,
    endCursor: cursor,
    startCursor: after ?? null,
  };
  const nodes = items.slice(start, end).map(node);
  return { totalCount: items.length, nodes, edges: nodes.map((each) => ({ node: each, cursor })), pageInfo };
}

function contextNode(pull: Pull, context: RollupContext): Json {
  const { run, status } = context;
  const required = ({ pullRequestNumber }: { pullRequestNumber?: number }) => {
    if (pullRequestNumber === undefined)
      fail('MISSING', 'A pull request is needed to tell whether a check is required.');
    return isRequired(pull.repository.pull(pullRequestNumber), context);
  };
  if (status) {
    return {
      __typename: 'StatusContext',
      id: nodeId('StatusContext', status.id),
      context: status.context,
      state: status.state.toUpperCase(),
      description: status.description,
      targetUrl: status.targetUrl,
      createdAt: status.createdAt,
      creator: { __typename: status.creator.type, login: status.creator.login },
      isRequired: required,
    };
  }
  const app = run?.suite.app;
  return {
    __typename: 'CheckRun',
    id: nodeId('CheckRun', run?.id ?? 0),
    databaseId: run?.id,
    name: context.name,
    status: run?.status.toUpperCase(),
    conclusion: run?.conclusion?.toUpperCase() ?? null,
    detailsUrl: run?.detailsUrl,
    externalId: run?.externalId,
    startedAt: run?.startedAt,
    completedAt: run?.completedAt,
    title: run?.title,
    summary: run?.summary,
    text: run?.text,
    checkSuite: { databaseId: run?.suite.id, app: app ? { databaseId: app.id, slug: app.slug, name: app.name } : null },
    isRequired: required,
  };
}
