import { tryGit } from './git.js';
import type { Json } from './http.js';
import { nodeId } from './ids.js';
import type { Repository } from './repository.js';

export interface Signature {
  name: string;
  email: string;
  date: string;
}

export interface Commit {
  sha: string;
  tree: string;
  parents: string[];
  author: Signature;
  committer: Signature;
  message: string;
  added: string[];
  removed: string[];
  modified: string[];
}

const FORMAT = '--format=%x1d%H%x1f%T%x1f%P%x1f%an%x1f%ae%x1f%aI%x1f%cn%x1f%ce%x1f%cI%x1f%B%x1e';

/** The commits that `git log` selects, newest first unless told otherwise, with the paths that each touched. */
export async function readCommits(repository: Repository, selection: readonly string[]): Promise<Commit[]> {
  const args = ['log', FORMAT, '-z', '--name-status', '--no-renames', '--diff-merges=first-parent', ...selection];
  const text = await repository.git(args);
  return text.split('\x1d').slice(1).map(parseCommit);
}

export async function readCommit(repository: Repository, sha: string): Promise<Commit> {
  const [commit] = await readCommits(repository, ['-1', sha]);
  if (!commit) throw new Error(`${repository.fullName} has no commit ${sha}`);
  return commit;
}

function parseCommit(text: string): Commit {
  const [head = '', names = ''] = text.split('\x1e');
  const fields = head.split('\x1f');
  const field = (index: number) => fields[index] ?? '';
  const commit: Commit = {
    sha: field(0),
    tree: field(1),
    parents: field(2).split(' ').filter(Boolean),
    author: { name: field(3), email: field(4), date: utc(field(5)) },
    committer: { name: field(6), email: field(7), date: utc(field(8)) },
    message: field(9).replace(/\n+$/, ''),
    added: [],
    removed: [],
    modified: [],
  };
  const tokens = names
    .split('\0')
    .map((token) => token.replace(/^\n/, ''))
    .filter(Boolean);
  for (let index = 0; index + 1 < tokens.length; index += 2) {
    const path = tokens[index + 1] ?? '';
    const list = tokens[index] === 'A' ? commit.added : tokens[index] === 'D' ? commit.removed : commit.modified;
    list.push(path);
  }
  return commit;
}

function utc(date: string): string {
  return new Date(date).toISOString().replace('.000Z', 'Z');
}

/** As in REST answers. */
export function commitJson(repository: Repository, commit: Commit): Json {
  const { github } = repository;
  const api = `${github.api}/repos/${repository.fullName}`;
  const html = `${github.url}/${repository.fullName}`;
  const person = (signature: Signature) => {
    const account = github.accounts.byEmail(signature.email);
    return account ? github.accounts.json(account) : null;
  };
  return {
    sha: commit.sha,
    node_id: nodeId('Commit', commit.sha),
    commit: {
      author: commit.author,
      committer: commit.committer,
      message: commit.message,
      tree: { sha: commit.tree, url: `${api}/git/trees/${commit.tree}` },
      url: `${api}/git/commits/${commit.sha}`,
      comment_count: 0,
      verification: { verified: false, reason: 'unsigned', signature: null, payload: null, verified_at: null },
    },
    url: `${api}/commits/${commit.sha}`,
    html_url: `${html}/commit/${commit.sha}`,
    comments_url: `${api}/commits/${commit.sha}/comments`,
    author: person(commit.author),
    committer: person(commit.committer),
    parents: commit.parents.map((sha) => ({ sha, url: `${api}/commits/${sha}`, html_url: `${html}/commit/${sha}` })),
  };
}

/** As in a push's payload. */
export function pushedCommitJson(repository: Repository, commit: Commit, distinct: boolean): Json {
  const { accounts, url } = repository.github;
  const person = ({ name, email, date }: Signature) => {
    const account = accounts.byEmail(email);
    return { name, email, date, ...(account ? { username: account.login } : {}) };
  };
  return {
    id: commit.sha,
    tree_id: commit.tree,
    distinct,
    message: commit.message,
    timestamp: commit.committer.date,
    url: `${url}/${repository.fullName}/commit/${commit.sha}`,
    author: person(commit.author),
    committer: person(commit.committer),
    added: commit.added,
    removed: commit.removed,
    modified: commit.modified,
  };
}

/** As in check suites and merge groups. */
export function simpleCommitJson(commit: Commit): Json {
  return {
    id: commit.sha,
    tree_id: commit.tree,
    message: commit.message,
    timestamp: commit.committer.date,
    author: { name: commit.author.name, email: commit.author.email },
    committer: { name: commit.committer.name, email: commit.committer.email },
  };
}

const STATUS: Record<string, string> = {
  A: 'added',
  D: 'removed',
  M: 'modified',
  T: 'changed',
  R: 'renamed',
  C: 'copied',
};

/** The files that differ between two commits, with their patches; `sha` is the blob's. */
export async function diffFiles(repository: Repository, from: string, to: string): Promise<Json[]> {
  const range = ['-M', from, to];
  const [raw, numbers, patches] = await Promise.all([
    repository.git(['diff', '--raw', '--no-abbrev', '-z', ...range]),
    repository.git(['diff', '--numstat', ...range]),
    repository.git(['diff', ...range]),
  ]);
  const counts = numbers.split('\n').map((line) => line.split('\t'));
  const texts = patches.split(/^diff --git .*\n/m).slice(1);
  const tokens = raw.split('\0').filter(Boolean);
  const files: Json[] = [];
  while (tokens.length > 0) {
    const [, , before = '', after = '', letter = 'M'] = (tokens.shift() ?? '').split(' ');
    const kind = letter.charAt(0);
    const previous = kind === 'R' || kind === 'C' ? tokens.shift() : undefined;
    const path = tokens.shift() ?? '';
    const [additions = '-', deletions = '-'] = counts[files.length] ?? [];
    const hunk = texts[files.length]?.match(/^@@[\s\S]*/m)?.[0].replace(/\n$/, '');
    const encoded = path.split('/').map(encodeURIComponent).join('/');
    const html = `${repository.github.url}/${repository.fullName}`;
    files.push({
      sha: kind === 'D' ? before : after,
      filename: path,
      status: STATUS[kind] ?? 'changed',
      additions: Number(additions) || 0,
      deletions: Number(deletions) || 0,
      changes: (Number(additions) || 0) + (Number(deletions) || 0),
      blob_url: `${html}/blob/${to}/${encoded}`,
      raw_url: `${html}/raw/${to}/${encoded}`,
      contents_url: `${repository.github.api}/repos/${repository.fullName}/contents/${encoded}?ref=${to}`,
      ...(hunk ? { patch: hunk } : {}),
      ...(previous ? { previous_filename: previous } : {}),
    });
  }
  return files;
}

export async function mergeBase(repository: Repository, one: string, other: string): Promise<string | undefined> {
  const found = await tryGit(repository.directory, ['merge-base', one, other]);
  return found.code === 0 ? found.stdout.toString().trim() : undefined;
}

export async function isAncestor(repository: Repository, ancestor: string, descendant: string): Promise<boolean> {
  return (await tryGit(repository.directory, ['merge-base', '--is-ancestor', ancestor, descendant])).code === 0;
}

/** The merge commit of two commits, written but not referenced; undefined when they conflict. */
export async function writeMerge(
  repository: Repository,
  base: string,
  head: string,
  commit: { message: string; author: { name: string; email: string }; parents?: string[] },
): Promise<string | undefined> {
  const merged = await tryGit(repository.directory, [
    'merge-tree',
    '--write-tree',
    '--allow-unrelated-histories',
    base,
    head,
  ]);
  if (merged.code !== 0) return undefined;
  const tree = merged.stdout.toString().split('\n')[0] ?? '';
  const parents = (commit.parents ?? [base, head]).flatMap((sha) => ['-p', sha]);
  return repository.git(['commit-tree', tree, ...parents, '-F', '-'], {
    input: commit.message,
    env: identity(commit.author),
  });
}

/** The environment that makes git commit as somebody. */
export function identity(author: { name: string; email: string }): Record<string, string> {
  return {
    GIT_AUTHOR_NAME: author.name,
    GIT_AUTHOR_EMAIL: author.email,
    GIT_COMMITTER_NAME: author.name,
    GIT_COMMITTER_EMAIL: author.email,
  };
}
