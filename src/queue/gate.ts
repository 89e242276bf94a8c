/** Effects of this rank, and the less urgent ones (higher ranks), of one lane can't be delivered for `ms`. */
export interface Closure {
  lane: number;
  rank: number;
  ms: number;
}

/**
 * Keeps effects from being tried in vain: what can't be delivered now isn't claimed, so that a thousand that wait cost no
 * more than one. A lane is an installation of the App; see effect-order.ts for the ranks.
 */
export interface Gate {
  closures(): Closure[];
  /** Before a delivery. False: not now, it has to be put back. */
  enter(lane: number, rank: number): boolean;
  /** After a delivery that was let in. */
  leave(lane: number): void;
  /** Calls `listener` whenever there may be room that wasn't there before. Returns the function that stops it. */
  onOpen(listener: () => void): () => void;
}
