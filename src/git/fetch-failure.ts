import type { GitExit } from './git-command.js';
import { isDiskFull } from './git-command.js';
import { CommitGone, DiskFull, GitUnavailable, RepositoryGone } from './git-error.js';

/** What a fetch that failed means, judged by what git says with LC_ALL=C. Undefined: nothing that is known. */
export function fetchFailure({ stderr, timedOut }: GitExit, repository: string): Error | undefined {
  if (isDiskFull(stderr)) return new DiskFull();
  if (timedOut) return new GitUnavailable(repository, 'GitHub takes too long to send it');

  const missing = /not our ref ([0-9a-f]{40,64})/.exec(stderr);
  if (missing) return new CommitGone(repository, missing[1]);
  if (/unadvertised object|could(n't| not) find remote ref/i.test(stderr)) return new CommitGone(repository, undefined);

  const status = /(?:returned error: |RPC failed; HTTP )(\d{3})/.exec(stderr)?.[1];
  if (status === '401' || status === '403' || status === '404' || status === '410')
    return new RepositoryGone(repository);
  if (/could not read (Username|Password)|Authentication failed|repository '.*' not found/i.test(stderr)) {
    return new RepositoryGone(repository);
  }
  if (status !== undefined) return new GitUnavailable(repository, `GitHub answers with an error (${status})`);
  const reason = NETWORK.find(([pattern]) => pattern.test(stderr))?.[1];
  return reason === undefined ? undefined : new GitUnavailable(repository, reason);
}

/** What curl and git say of a network that fails, and what it is called in a check run. The last one is the general case. */
const NETWORK: [RegExp, string][] = [
  [/Could not resolve (host|proxy)/i, "GitHub's name can't be resolved"],
  [/Connection refused|Failed to connect|No route to host|Network is unreachable/i, "GitHub can't be reached"],
  [/certificate|SSL|TLS/i, 'the connection to GitHub is not secure'],
  [/Operation too slow|timed out|Timeout/i, 'GitHub takes too long to answer'],
  [
    /unable to access|RPC failed|early EOF|unexpected disconnect|hung up unexpectedly|Empty reply|Connection reset|invalid server response|expected flush|bad line length|protocol error|remote error/i,
    'the connection to GitHub broke',
  ],
];

/** Another process works on the same mirror; the file that says so, if git names it. */
export function lockHeld(stderr: string): { file?: string } | undefined {
  const file = /Unable to create '(.+\.lock)': File exists/i.exec(stderr)?.[1];
  if (file !== undefined) return { file };
  return /cannot lock ref|unable to lock|shallow file (was|has) changed/i.test(stderr) ? {} : undefined;
}

/** git finds its own files damaged: the repository is to be made anew. */
export function saysCorrupt(stderr: string): boolean {
  return CORRUPT.some((pattern) => pattern.test(stderr));
}

const CORRUPT = [
  /not a git repository/i,
  /bad (object|tree|config|numeric config|signature|pack|ref)/i,
  /(object file|loose object|packfile|pack|index file|packed object) .*(empty|corrupt|invalid|mismatch|too small|cannot be|is damaged|does not match)/i,
  /(unable to|could not) (read|parse|find|unpack|open) (tree|object|commit|source object|loose|sha1|[0-9a-f]{40})/i,
  /missing (blob|tree|commit|object)/i,
  /(not a valid|invalid) object/i,
  /inflate|incorrect (header|data) check|hash mismatch|garbage at end/i,
  /did not send all necessary objects|unresolved deltas|bad shallow|invalid shallow|not (a tree|a commit) object/i,
  /failed to (read|unpack) (tree|object)|not a tree object/i,
  /pathspec .* did not match|ambiguous argument|Needed a single revision/i,
];
