/** The part of a logger that the queue needs. */
export interface QueueLog {
  debug?(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** A complaint that goes on is repeated after this time, in ms. */
const REPEAT_MS = 600_000;

/** Causes remembered for a subject. */
const MANY = 1_000;

/**
 * An outage makes the same error hundreds of times. Each cause is logged when it is new, every ten minutes while it
 * lasts, and the end of the outage is logged once.
 */
export class Complaints {
  readonly #log: QueueLog;
  /** By subject: when each cause was last logged. */
  readonly #logged = new Map<string, Map<string, number>>();

  constructor(log: QueueLog) {
    this.#log = log;
  }

  /**
   * `subject`: what fails, told apart from other things that fail. `fields`: the example that is logged. `cause`: what tells
   * this failure from others of the subject, where the error's text says too much for that.
   */
  raise(subject: string, message: string, error: unknown, fields: object = {}, cause = causeOf(error)): void {
    const causes = this.#logged.get(subject) ?? new Map<string, number>();
    this.#logged.set(subject, causes);
    if (Date.now() - (causes.get(cause) ?? Number.NEGATIVE_INFINITY) < REPEAT_MS) return;
    if (causes.size >= MANY) causes.clear();
    causes.set(cause, Date.now());
    this.#log.warn({ ...fields, err: error }, message);
  }

  /** It works again. Says so if there was a complaint. */
  settle(subject: string, message: string): void {
    if (this.#logged.delete(subject)) this.#log.info({}, message);
  }
}

/** What went wrong, in one line. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // A refused connection to several addresses is an AggregateError, without a message.
  if (error instanceof AggregateError && error.message === '') return error.errors.map(describeError).join(' ');
  return error.message.split('\n')[0] || error.name;
}

/** Errors that differ only in an id, a port or a time have one cause; a status tells causes apart. */
export function causeOf(error: unknown): string {
  return describeError(error).replace(/\b(?=[0-9a-z-]*\d)[0-9a-z-]{4,}/gi, '#');
}
