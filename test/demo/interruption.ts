/** Somebody wants it to end. */
export class Interrupted extends Error {
  override name = 'Interrupted';

  constructor(readonly exitCode: number) {
    super('interrupted');
  }
}

/** Rejects with Interrupted at Ctrl-C or SIGTERM; further ones change nothing, since cleaning up is under way. */
export function interruption(): Promise<never> {
  const interrupted = new Promise<never>((_, reject) => {
    process.on('SIGINT', () => reject(new Interrupted(130)));
    process.on('SIGHUP', () => reject(new Interrupted(129)));
    process.on('SIGTERM', () => reject(new Interrupted(143)));
  });
  interrupted.catch(() => undefined);
  return interrupted;
}
