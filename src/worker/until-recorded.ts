import { isAway } from '../db/outage.js';
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
      if (!isAway(error)) throw error;
      if (!told) log.warn('The record can not be reached: an outcome waits for it');
      told = true;
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
}
