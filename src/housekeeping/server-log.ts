import { copyFile, stat, truncate } from 'node:fs/promises';
import type { Chore } from './housekeeper.js';

const LARGEST = 10 * 1024 ** 2;

/** The log of the embedded PostgreSQL, which that appends to: above 10 MiB it becomes `log.old`, in place of the one before. */
export function serverLogChore(path: string): Chore {
  return {
    name: 'logs of PostgreSQL',
    run: async () => {
      const size = await stat(path).then(
        (found) => found.size,
        () => 0,
      );
      if (size <= LARGEST) return 0;
      await copyFile(path, `${path}.old`);
      await truncate(path);
      return 1;
    },
  };
}
