import { readdir, readFile } from 'node:fs/promises';

/** The environment variable by which the processes of one git command are found. */
export const MARKER = 'SIGNALBOX_GIT';

/**
 * Ends every process of the git command with this marker. A signal to git alone leaves its HTTP helper behind, waiting for
 * a server that may never answer. Where there is no /proc, `http.lowSpeedTime` ends that one.
 */
export async function endProcesses(marker: string): Promise<void> {
  const names = await readdir('/proc').catch(() => []);
  const pids = names.filter((name) => /^\d+$/.test(name)).map(Number);
  await Promise.all(
    pids.map(async (pid) => {
      const environment = await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '');
      if (!`\0${environment}`.includes(`\0${MARKER}=${marker}\0`)) return;
      try {
        process.kill(pid, 'SIGTERM');
      } catch {
        // It has just ended by itself.
      }
    }),
  );
}
