import { type Logger, pino } from 'pino';
import pretty from 'pino-pretty';

export type Log = Logger;

/** One structured logger for the process, Probot's included. It never sees a secret: nobody logs requests or environments. */
export function createLog({ level, format }: { level: string; format: 'pretty' | 'json' }): Log {
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime };
  if (format === 'json') return pino({ ...options, formatters: { level: (label) => ({ level: label }) } });
  return pino(
    options,
    pretty({ colorize: process.stdout.isTTY === true, translateTime: 'HH:MM:ss', ignore: 'name', sync: true }),
  );
}
