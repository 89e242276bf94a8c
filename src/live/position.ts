import type { Stage } from '../db/schema.js';

/** The last piece of a run's output that a viewer has. What comes after it is what is missing. */
export interface Position {
  stage: Stage;
  attempt: number;
  sequence: number;
}

/** As viewers hold it: the id of a server-sent event. */
export function formatPosition({ stage, attempt, sequence }: Position): string {
  return `${stage}.${attempt}.${sequence}`;
}

/** Undefined for anything that isn't one. */
export function parsePosition(text: string): Position | undefined {
  const [, stage, attempt, sequence] = /^(plan|apply)\.(\d{1,9})\.(\d{1,9})$/.exec(text) ?? [];
  if (stage === undefined) return undefined;
  return { stage: stage as Stage, attempt: Number(attempt), sequence: Number(sequence) };
}
