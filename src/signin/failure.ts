/**
 * GitHub doesn't answer, or asks for patience: what a person may do can't be told now. Their session stays. The message is
 * fit for a page, and never holds what was asked.
 */
export class GitHubAway extends Error {
  override name = 'GitHubAway';
}

/** So many sign in at once that GitHub isn't asked for one more. */
export class TooManySignIns extends Error {
  override name = 'TooManySignIns';

  constructor() {
    super('Too many people are signing in here at this moment.');
  }
}

/** GitHub knows the person's authorisation no more, or their session has ended: they have to sign in again. */
export class SessionOver extends Error {
  override name = 'SessionOver';

  constructor() {
    super('The session has ended.');
  }
}
