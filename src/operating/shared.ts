/** What was asked for isn't there in time; it may still come. */
export class TooSlow extends Error {
  override name = 'TooSlow';
}

/**
 * Makes of a costly reading one that anybody may ask for as often as they like: there is one at a time, and what it yields
 * is good for `keepMs`. Who asks says for how many ms they can wait. Throws what the reading throws, or TooSlow.
 */
export function shared<T>(read: () => Promise<T>, keepMs: number): (patienceMs: number) => Promise<T> {
  let known: { value: T; at: number } | undefined;
  let reading: Promise<T> | undefined;
  const begin = async () => {
    try {
      const value = await read();
      known = { value, at: performance.now() };
      return value;
    } finally {
      reading = undefined;
    }
  };
  return async (patienceMs) => {
    if (known && performance.now() - known.at < keepMs) return known.value;
    reading ??= begin();
    return within(patienceMs, reading);
  };
}

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new TooSlow(`There was no answer within ${ms / 1000} s.`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
