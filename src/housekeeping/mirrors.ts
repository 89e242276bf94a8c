import type { Mirrors } from '../git/mirror.js';
import { mirrorsOnDisk, removeLeftovers } from '../git/mirrors-on-disk.js';
import { diskUsage } from './disk-usage.js';
import type { Chore } from './housekeeper.js';

const DAY_MS = 24 * 3_600_000;
/** Unused for so long, a mirror goes whatever there is room for. */
const UNUSED_MS = 30 * DAY_MS;
/** A run that has just fetched its commit is about to check it out: so soon no mirror goes. */
const RECENT_MS = 10 * 60_000;
/** Longer than any git command takes. */
const LEFTOVER_MS = 3_600_000;

/** Mirrors of repositories: those that nobody has used for long, then the least recently used ones down to `maxBytes` (0: any size). */
export function mirrorChore(mirrors: Pick<Mirrors, 'remove'>, directory: string, maxBytes: number): Chore {
  return {
    name: 'mirrors',
    run: async (signal) => {
      await removeLeftovers(directory, LEFTOVER_MS);
      const found = await mirrorsOnDisk(directory);
      found.sort((a, b) => a.usedAt.getTime() - b.usedAt.getTime());
      const sizes = new Map<number, number>();
      if (maxBytes > 0) for (const mirror of found) sizes.set(mirror.id, await diskUsage(mirror.directory));
      let total = [...sizes.values()].reduce((sum, size) => sum + size, 0);
      let removed = 0;
      for (const mirror of found) {
        const unused = Date.now() - mirror.usedAt.getTime();
        if (signal.aborted || unused < RECENT_MS) break;
        if (unused < UNUSED_MS && total <= maxBytes) break;
        if (!(await mirrors.remove(mirror, RECENT_MS))) continue;
        total -= sizes.get(mirror.id) ?? 0;
        removed += 1;
      }
      return removed;
    },
  };
}
