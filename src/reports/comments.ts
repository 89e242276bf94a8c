import type { Repository } from '../db/schema.js';
import { RANK, type Rank } from '../queue/effect-order.js';
import type { Reaction } from '../queue/outbox.js';
import { findRepository, type ReportContext } from './context.js';
import { replyComment, replyMarker } from './reply.js';

/** Effects are tried for hours, not for weeks: an answer that was given is among what changed since. */
const REPLY_MEMORY_MS = 7 * 24 * 3_600_000;

/** GitHub's clock and ours may differ by less than this, in ms. */
const CLOCK_SKEW_MS = 3_600_000;

/** Our own comment with a marker. `since`: when it was first tried, by our clock. Yields its id. */
export async function findComment(
  { calls, botLogin }: ReportContext,
  repository: Repository,
  number: number,
  marker: string,
  since: Date,
): Promise<number | undefined> {
  return calls.read(repository.installation_id, async (octokit, options) => {
    const bot = await botLogin();
    const pages = octokit.paginate.iterator(octokit.rest.issues.listComments, {
      owner: repository.owner,
      repo: repository.name,
      issue_number: number,
      since: new Date(since.getTime() - CLOCK_SKEW_MS).toISOString(),
      per_page: 100,
      ...options,
    });
    for await (const { data } of pages) {
      const found = data.find(({ user, body }) => user?.login === bot && body?.includes(marker));
      if (found) return found.id;
    }
    return undefined;
  });
}

export async function createComment(
  { calls }: ReportContext,
  repository: Repository,
  number: number,
  body: string,
  how: { rank: Rank; before?: () => Promise<void> },
): Promise<number> {
  const { data } = await calls.write(repository.installation_id, how, (octokit, options) =>
    octokit.rest.issues.createComment({
      owner: repository.owner,
      repo: repository.name,
      issue_number: number,
      body,
      ...options,
    }),
  );
  return data.id;
}

/** Answers a command. Asked again, it finds its answer given. */
export async function reply(
  context: ReportContext,
  repositoryId: number,
  number: number,
  key: string,
  body: string,
): Promise<void> {
  const repository = await findRepository(context, repositoryId);
  if (!repository) return;
  const since = new Date(Date.now() - REPLY_MEMORY_MS);
  if ((await findComment(context, repository, number, replyMarker(key), since)) !== undefined) return;
  await createComment(context, repository, number, replyComment(key, body), { rank: RANK.answer });
}

/** GitHub keeps one reaction of a kind by one account: saying it twice is saying it once. */
export async function react(
  { calls, ...context }: ReportContext,
  repositoryId: number,
  comment: number,
  content: Reaction,
): Promise<void> {
  const repository = await findRepository({ calls, ...context }, repositoryId);
  if (!repository) return;
  await calls.write(repository.installation_id, { rank: RANK.answer }, (octokit, options) =>
    octokit.rest.reactions.createForIssueComment({
      owner: repository.owner,
      repo: repository.name,
      comment_id: comment,
      content,
      ...options,
    }),
  );
}
