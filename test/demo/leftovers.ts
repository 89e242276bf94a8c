import { readdir, readFile } from 'node:fs/promises';

/**
 * Ends the processes whose command line names a directory: a Signalbox that died hard leaves PostgreSQL and Terraform
 * running, to be found again. Does nothing where there is no `/proc`.
 */
export async function endProcessesOf(directory: string): Promise<void> {
  const entries = await readdir('/proc').catch(() => []);
  for (const pid of entries.filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)) {
    const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (commandLine.includes(directory)) kill(Number(pid));
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended meanwhile.
  }
}
