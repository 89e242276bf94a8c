/** What has to answer before this process does its work. A check throws NotReady, or whatever its client throws. */
export type ReadinessChecks = Record<string, () => Promise<unknown>>;

/** Why a check fails, in words that may go out to the network. */
export class NotReady extends Error {}

export interface Readiness {
  ready: boolean;
  /** By check: 'ok', or why not. */
  checks: Record<string, string>;
  /** What waits, and why: that alone makes nothing unready. */
  waiting?: object;
}

const CHECK_TIMEOUT_MS = 2_000;

/**
 * Asks all checks, and `waiting`, at once. A check that doesn't answer within two seconds counts as failed; what waits is
 * then left out.
 */
export async function checkReadiness(checks: ReadinessChecks, waiting?: () => Promise<object>): Promise<Readiness> {
  const asked = waiting && within(waiting(), CHECK_TIMEOUT_MS).catch(() => undefined);
  const results = await Promise.all(
    Object.entries(checks).map(async ([name, check]): Promise<[string, string]> => {
      try {
        await within(check(), CHECK_TIMEOUT_MS);
        return [name, 'ok'];
      } catch (error) {
        return [name, error instanceof NotReady ? error.message : 'does not answer'];
      }
    }),
  );
  const known = await asked;
  return {
    ready: results.every(([, result]) => result === 'ok'),
    checks: Object.fromEntries(results),
    ...(known && { waiting: known }),
  };
}

async function within<T>(work: Promise<T>, milliseconds: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new NotReady(`no answer within ${milliseconds / 1000} s`)), milliseconds);
  });
  try {
    return await Promise.race([work, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
