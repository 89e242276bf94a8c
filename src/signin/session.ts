/** A person who has signed in. */
export interface Session {
  /** A hash, fit for the record. */
  id: string;
  /** GitHub login. */
  login: string;
  /** What a form has to bring, so that another site's form can't. */
  csrf: string;
}
