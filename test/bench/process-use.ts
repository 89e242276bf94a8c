import { readdir, readFile } from 'node:fs/promises';

/** Processor time of a process so far, in ms. */
export async function usedBy(pid: number): Promise<number> {
  const threads = await readdir(`/proc/${pid}/task`).catch(() => []);
  const used = await Promise.all(
    threads.map(async (thread) => {
      // Nanoseconds on a processor come first: clock ticks, which `stat` counts, are as long as what is measured here.
      const text = await readFile(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').catch(() => '0');
      return Number(text.split(' ')[0]) / 1e6;
    }),
  );
  return used.reduce((sum, each) => sum + each, 0);
}

/** Memory of a process, in MiB. */
export async function rssOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
}
