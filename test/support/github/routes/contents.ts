import { commitJson, diffFiles, mergeBase, readCommit, readCommits } from '../commits.js';
import { gitBytes, tryGit } from '../git.js';
import { type Call, HttpError, type Json, notFound, type Reply, type Route, route } from '../http.js';
import { nodeId } from '../ids.js';
import { simplePullJson } from '../pull-json.js';
import { fetchObjects } from '../pulls.js';

const reads = { needs: ['contents:read'] } as const;

/** A comparison lists at most so many files. */
const MOST_FILES = 300;

export const contentRoutes: readonly Route[] = [
  route('GET /repos/{owner}/{repo}/commits', reads, async (call) => {
    if ((await call.repo.refs()).size === 0) throw new HttpError(409, 'Git Repository is empty.');
    const start = await call.repo.resolve(call.query.get('sha') ?? call.repo.defaultBranch);
    if (!start) throw notFound();
    const path = call.query.get('path');
    const options = ['since', 'until', 'author'].flatMap((name) =>
      call.query.has(name) ? [`--${name}=${call.query.get(name)}`] : [],
    );
    const commits = await readCommits(call.repo, [...options, start, ...(path ? ['--', path] : [])]);
    return call.page(commits, (shown) => shown.map((commit) => commitJson(call.repo, commit)));
  }),
  route('GET /repos/{owner}/{repo}/commits/{commit_sha}/pulls', { needs: ['pull_requests:read'] }, async (call) => {
    const sha = await commitOf(call, call.param('commit_sha'));
    const pulls = [];
    for (const pull of call.repo.pulls()) {
      const { merged, mergeCommitSha, headSha } = pull;
      const start = await mergeBase(call.repo, pull.baseSha, headSha);
      const commits = await call.repo.git(['rev-list', headSha, ...(start ? [`^${start}`] : [])]);
      if (commits.split('\n').includes(sha) || (merged && mergeCommitSha === sha)) pulls.push(pull);
    }
    return call.page(pulls, (shown) => shown.map(simplePullJson));
  }),
  route('GET /repos/{owner}/{repo}/commits/{ref}', reads, async (call) => {
    const sha = await commitOf(call, call.param('ref'));
    if (call.headers.accept?.includes('.sha'))
      return { status: 200, body: sha, headers: { 'content-type': 'application/vnd.github.sha' } };
    const commit = await readCommit(call.repo, sha);
    const parent =
      commit.parents[0] ?? (await call.repo.git(['hash-object', '-t', 'tree', '-w', '--stdin'], { input: '' }));
    const files = await diffFiles(call.repo, parent, sha);
    const sum = (name: string) => files.reduce((total, file) => total + Number(file[name]), 0);
    const stats = { total: sum('changes'), additions: sum('additions'), deletions: sum('deletions') };
    return call.page(files, (shown) => ({ ...commitJson(call.repo, commit), stats, files: shown }));
  }),
  route('GET /repos/{owner}/{repo}/compare/{basehead}', reads, compare),
  route('GET /repos/{owner}/{repo}/contents/{path}', reads, contents),
];

async function compare(call: Call): Promise<Reply> {
  const { repo, github } = call;
  const [from = '', to = ''] = call.param('basehead').split('...');
  const [base, head] = await Promise.all([side(call, from), side(call, to)]);
  const start = await mergeBase(repo, base, head);
  if (!start) throw new HttpError(404, `No common ancestor between ${from} and ${to}.`);
  const [ahead, behind, files] = await Promise.all([
    readCommits(repo, ['--reverse', `${base}..${head}`]),
    repo.git(['rev-list', '--count', `${head}..${base}`]),
    diffFiles(repo, start, head),
  ]);
  const behindBy = Number(behind);
  const [baseCommit, startCommit] = await Promise.all([readCommit(repo, base), readCommit(repo, start)]);
  const html = `${github.url}/${repo.fullName}/compare/${from}...${to}`;
  const one = ahead.length === 0 ? 'identical' : 'ahead';
  return call.page(ahead, (shown) => ({
    url: `${github.api}/repos/${repo.fullName}/compare/${from}...${to}`,
    html_url: html,
    permalink_url: `${github.url}/${repo.fullName}/compare/${base.slice(0, 7)}...${head.slice(0, 7)}`,
    diff_url: `${html}.diff`,
    patch_url: `${html}.patch`,
    base_commit: commitJson(repo, baseCommit),
    merge_base_commit: commitJson(repo, startCommit),
    status: behindBy === 0 ? one : ahead.length === 0 ? 'behind' : 'diverged',
    ahead_by: ahead.length,
    behind_by: behindBy,
    total_commits: ahead.length,
    commits: shown.map((commit) => commitJson(repo, commit)),
    files: files.slice(0, MOST_FILES),
  }));
}

/** One side of a comparison: a branch, tag or SHA, or `owner:branch` in a fork. */
async function side(call: Call, name: string): Promise<string> {
  const [owner = '', branch] = name.split(':');
  if (branch === undefined || owner === call.repo.owner.login) return commitOf(call, branch ?? owner);
  const fork = [...call.github.repositories.values()].find(
    (each) => each.parent === call.repo && each.owner.login === owner,
  );
  const sha = await fork?.resolve(branch);
  if (!fork || !sha) throw notFound();
  await fetchObjects(call.repo, fork, sha);
  return sha;
}

async function commitOf(call: Call, reference: string): Promise<string> {
  const sha = await call.repo.resolve(reference);
  if (sha) return sha;
  if (/^[0-9a-f]{40}$/.test(reference)) throw new HttpError(422, `No commit found for SHA: ${reference}`);
  throw notFound();
}

interface Entry {
  mode: string;
  type: string;
  sha: string;
  size: number;
  path: string;
}

async function contents(call: Call): Promise<Reply> {
  const { repo } = call;
  const path = call.param('path').replace(/^\/+|\/+$/g, '');
  const reference = call.query.get('ref') ?? repo.defaultBranch;
  const sha = await repo.resolve(reference);
  if (!sha)
    throw new HttpError(
      404,
      call.query.has('ref') ? `No commit found for the ref ${reference}` : 'This repository is empty.',
    );
  const object = `${sha}:${path}`;
  const type = await tryGit(repo.directory, ['cat-file', '-t', object]);
  const kind = type.stdout.toString().trim();
  const raw = call.headers.accept?.includes('raw') ?? false;
  if (kind === 'tree') {
    const entries = parseTree(await repo.git(['ls-tree', '-z', '-l', object]), path);
    return { status: 200, body: entries.map((entry) => entryJson(call, entry, reference)) };
  }
  if (kind !== 'blob') throw notFound();
  const bytes = await gitBytes(repo.directory, ['cat-file', 'blob', object]);
  if (raw)
    return { status: 200, body: bytes, headers: { 'content-type': 'application/vnd.github.raw; charset=utf-8' } };
  const parent = path.split('/').slice(0, -1).join('/');
  const all = parseTree(await repo.git(['ls-tree', '-z', '-l', sha, '--', path]), '');
  const entry = all[0] ?? { mode: '100644', type: 'blob', sha: '', size: bytes.length, path: `${parent}/${path}` };
  const content = bytes.toString('base64').replace(/.{60}/g, '$&\n');
  return {
    status: 200,
    body: { ...entryJson(call, entry, reference), encoding: 'base64', content: content && `${content}\n` },
  };
}

function parseTree(text: string, prefix: string): Entry[] {
  return text
    .split('\0')
    .filter(Boolean)
    .map((line) => {
      const [head = '', name = ''] = line.split('\t');
      const [mode = '', type = '', sha = '', size = '0'] = head.split(/ +/);
      return { mode, type, sha, size: Number(size) || 0, path: prefix ? `${prefix}/${name}` : name };
    });
}

function entryJson(call: Call, entry: Entry, reference: string): Json {
  const { github, repo } = call;
  const kinds: Record<string, string> = { tree: 'dir', commit: 'submodule' };
  const type = entry.mode === '120000' ? 'symlink' : (kinds[entry.type] ?? 'file');
  const encoded = entry.path.split('/').map(encodeURIComponent).join('/');
  const url = `${github.api}/repos/${repo.fullName}/contents/${encoded}?ref=${encodeURIComponent(reference)}`;
  const git = `${github.api}/repos/${repo.fullName}/git/${entry.type === 'tree' ? 'trees' : 'blobs'}/${entry.sha}`;
  const html = `${github.url}/${repo.fullName}/${entry.type === 'tree' ? 'tree' : 'blob'}/${reference}/${encoded}`;
  return {
    name: entry.path.split('/').at(-1) ?? '',
    path: entry.path,
    sha: entry.sha,
    size: entry.size,
    url,
    html_url: html,
    git_url: git,
    download_url: entry.type === 'blob' ? `${github.url}/raw/${repo.fullName}/${reference}/${encoded}` : null,
    type: type === 'symlink' ? 'file' : type,
    _links: { self: url, git, html },
  };
}

export function referenceJson(call: Call, ref: string, sha: string): Json {
  const api = `${call.github.api}/repos/${call.repo.fullName}/git`;
  return {
    ref,
    node_id: nodeId('Ref', `${call.repo.id}:${ref}`),
    url: `${api}/${ref}`,
    object: { sha, type: 'commit', url: `${api}/commits/${sha}` },
  };
}
