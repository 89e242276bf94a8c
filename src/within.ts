/** What should have been done by now wasn't; it may still happen. */
export class TookTooLong extends Error {
  override name = 'TookTooLong';
}

/** The work's result, if it comes in time. Rejects with TookTooLong otherwise. */
export async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new TookTooLong(`It took longer than ${ms} ms.`)), ms);
  });
  work.catch(() => undefined);
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
