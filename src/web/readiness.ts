/** What has to answer before this process does its work. A check throws NotReady, or whatever its client throws. */
export type ReadinessChecks = Record<string, () => Promise<unknown>>;

/** Why a check fails, in words that may go out to the network. */
export class NotReady extends Error {}

export interface Readiness {
  ready: boolean;
  /** By check: 'ok', or why not. */
  checks: Record<string, string>;
}

const CHECK_TIMEOUT_MS = 2_000;

/** Asks all checks at once. One that doesn't answer within two seconds counts as failed. */
export async function checkReadiness(checks: ReadinessChecks): Promise<Readiness> {
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
  return { ready: results.every(([, result]) => result === 'ok'), checks: Object.fromEntries(results) };
}

async function within(work: Promise<unknown>, milliseconds: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new NotReady(`no answer within ${milliseconds / 1000} s`)), milliseconds);
  });
  try {
    await Promise.race([work, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
