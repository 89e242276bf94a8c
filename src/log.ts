import { type Logger, pino } from 'pino';
import pretty from 'pino-pretty';

export type Log = Logger;

/** One structured logger for the process, Probot's included. It never sees a secret: nobody logs requests or environments. */
export function createLog({ level, format }: { level: string; format: 'pretty' | 'json' }): Log {
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime, serializers: { err: describe } };
  if (format === 'json') return pino({ ...options, formatters: { level: (label) => ({ level: label }) } });
  return pino(
    options,
    pretty({ colorize: process.stdout.isTTY === true, translateTime: 'HH:MM:ss', ignore: 'name', sync: true }),
  );
}

/** What helps to find a fault: not the request and the answer that errors of GitHub's client carry around. */
function describe(error: unknown): object {
  if (!(error instanceof Error)) return { message: String((error as { message?: unknown })?.message ?? error) };
  const { name, message, stack } = error;
  const { code, status } = error as { code?: unknown; status?: unknown };
  return {
    type: name,
    message,
    stack,
    ...(code === undefined ? {} : { code }),
    ...(status === undefined ? {} : { status }),
  };
}
