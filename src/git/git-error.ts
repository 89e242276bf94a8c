/**
 * What can go wrong between a commit on GitHub and its files here, told apart by what the caller can do about it. Every
 * message is fit for a check run; none holds anything that git printed, which might hold what nobody should see.
 */
export abstract class MirrorError extends Error {}

/** GitHub has no such commit. Waiting doesn't help. */
export class CommitGone extends MirrorError {
  override name = 'CommitGone';
  constructor(
    repository: string,
    /** Undefined when several were asked for and GitHub didn't say which one. */
    readonly sha: string | undefined,
  ) {
    const commit = sha === undefined ? 'A commit that is needed' : `Commit ${sha.slice(0, 7)}`;
    super(`${commit} is no longer in ${repository}. It may have been force-pushed over, and removed since.`);
  }
}

/** GitHub has no such repository, or none that we may read. Waiting doesn't help. */
export class RepositoryGone extends MirrorError {
  override name = 'RepositoryGone';
  constructor(repository: string) {
    super(
      `GitHub doesn't let Signalbox read ${repository}. It was deleted, or the App isn't installed on it any more.`,
    );
  }
}

/** GitHub grants no token for the repository: the App isn't installed there any more, or may not read it. */
export class TokenRefused extends MirrorError {
  override name = 'TokenRefused';
}

/** GitHub can't be reached, or doesn't answer as it should. Worth waiting for. */
export class GitUnavailable extends MirrorError {
  override name = 'GitUnavailable';
  constructor(
    repository: string,
    /** Without the repository's name and a full stop. */
    readonly reason: string,
  ) {
    super(`${repository} can't be fetched right now: ${reason}.`);
  }
}

/** There is no space left on this machine. */
export class DiskFull extends MirrorError {
  override name = 'DiskFull';
  constructor() {
    super("The worker's disk is full. Free some space, then plan again.");
  }
}

/** The commit's files are not what a machine should unpack: too many, too large, or named to do harm. */
export class CommitRefused extends MirrorError {
  override name = 'CommitRefused';
}

/** A path of the commit can't be read as a file, or as a directory. */
export class PathUnreadable extends MirrorError {
  override name = 'PathUnreadable';
  constructor(
    readonly path: string,
    reason: string,
  ) {
    super(`${path} can't be read: ${reason}.`);
  }
}

/** git failed in a way that wasn't foreseen: `said` is for the log. */
export class GitFailed extends Error {
  override name = 'GitFailed';
  constructor(
    command: string,
    /** The end of what git printed. It never sees a token in an argument or a URL, so it can't print one. */
    readonly said: string,
  ) {
    super(`git ${command} failed: ${said || 'it said nothing'}`);
  }
}
