import type { Log } from '../log.js';

const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 5_000;

/**
 * Repeats `write` until the record has answered, whatever the answer: what Terraform has done must not be forgotten because
 * the database restarts in that moment. `write` is a transaction of its own, judged anew each time.
 */
export async function untilRecorded<T>(write: () => Promise<T>, log: Log): Promise<T> {
  let told = false;
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
    try {
      return await write();
    } catch (error) {
      if (!isPassing(error)) throw error;
      if (!told) log.warn('The record can not be reached: an outcome waits for it');
      told = true;
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
}

/**
 * Class 08: connection, 40: rolled back for another transaction's sake (a deadlock), 53: resources, 57P: the server goes
 * down or comes up. Node's own codes are for the socket.
 */
export function isPassing(error: unknown): boolean {
  const { code = '', message = '' } = error as { code?: string; message?: string };
  return (
    /^(08|40|53|57P|ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_)/.test(code) ||
    /terminated|timeout exceeded when trying to connect/.test(message)
  );
}
