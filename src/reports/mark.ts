import { createHash } from 'node:crypto';

/** What the record keeps of the last report that was sent: enough to know whether another is due, and of which kind. */
export interface Mark {
  status: 'queued' | 'in_progress' | 'completed';
  /** What was reported, coarsely: a run's state, mostly. */
  phase: string;
  /** Of everything that was sent. */
  hash: string;
  /** False: it was sent, and no answer came. */
  sure: boolean;
}

/** `<status>:<phase>:<hash>`, with a `?` behind it until GitHub has answered. */
export function writeMark({ status, phase, hash, sure }: Mark): string {
  return `${status}:${phase}:${hash}${sure ? '' : '?'}`;
}

export function readMark(text: string | null): Mark | undefined {
  const match = /^(queued|in_progress|completed):([^:]*):([^:?]*)(\?)?$/.exec(text ?? '');
  if (!match) return undefined;
  const [, status, phase = '', hash = '', unsure] = match;
  return { status: status as Mark['status'], phase, hash, sure: unsure === undefined };
}

export function digestOf(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('base64url').slice(0, 22);
}
