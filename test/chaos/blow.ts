/** What may happen to a part. */
export const BLOWS = [
  'kill-web',
  'kill-worker',
  'kill-terraform',
  'kill-redis',
  'wipe-redis',
  'kill-postgres',
  'github-fail',
] as const;
export type BlowKind = (typeof BLOWS)[number];

/** One decision of the killer's: what, to which of those that there are, and for how long. */
export interface Blow {
  kind: BlowKind;
  /** From 0 to 1: which worker, which Terraform, which way to fail. */
  which: number;
  /** Until the part is there again, in ms. */
  lasts: number;
  /** In the middle of an apply: it is waited for one. */
  amid: boolean;
}
