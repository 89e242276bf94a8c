import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';

/** What a file's parser said: the file as Terraform's JSON syntax has it, or why it doesn't parse. */
export type Parsed = { json: unknown } | { error: string; line?: number };

const PARSE_TIMEOUT_MS = 5_000;
/** The parser's memory grows with the file (about 300 bytes a byte) and isn't given back before it is closed. */
const MAX_BYTES = 256 * 1024;
const MAX_CRASHES = 3;

// It is a script in a string, because a worker needs a file of its own that is JavaScript in the sources too.
const SCRIPT = `
const { parentPort, workerData } = require('node:worker_threads');
const { parse } = require(workerData);
parentPort.on('message', (text) => {
  parse('f.tf', text).then(
    (json) => parentPort.postMessage({ json }),
    (error) => parentPort.postMessage({ error: String(error && error.message) }),
  );
});`;

/**
 * HCL's own parser, one file at a time, in a thread of its own: it is Go in WebAssembly, and 16 KB of nested brackets
 * exhaust its stack, after which it is dead or hangs for good. Here such a file costs a new thread and is named as not
 * parsable. 500 files of 4 KB take 1.7 s; starting the thread takes 0.1 s, so it is started with the first file.
 */
export class HclParser {
  #worker: Worker | undefined;
  #crashes = 0;

  /** Not to be called again before it has answered. */
  async parse(text: string): Promise<Parsed> {
    if (Buffer.byteLength(text) > MAX_BYTES) return { error: 'is larger than 256 KiB' };
    if (this.#crashes >= MAX_CRASHES) return { error: 'was not parsed: too many files before it made the parser fail' };
    const answer = await this.#ask(text);
    if (answer && 'json' in answer) return answer;
    if (answer?.error.startsWith('parse config: [')) return diagnostic(answer.error);
    this.#crashes++;
    await this.close();
    return { error: 'is nested too deeply to be parsed, or takes too long' };
  }

  async close(): Promise<void> {
    await this.#worker?.terminate();
    this.#worker = undefined;
  }

  #ask(text: string): Promise<Answer | undefined> {
    this.#worker ??= startWorker();
    const worker = this.#worker;
    return new Promise((resolve) => {
      const answer = (said?: Answer) => {
        clearTimeout(timer);
        worker.off('message', answer).off('exit', dead);
        resolve(said);
      };
      const dead = () => answer();
      const timer = setTimeout(dead, PARSE_TIMEOUT_MS);
      worker.on('message', answer).on('exit', dead);
      worker.postMessage(text);
    });
  }
}

type Answer = { json: unknown } | { error: string };

function startWorker(): Worker {
  const library = createRequire(import.meta.url).resolve('@cdktf/hcl2json');
  // Its output is the Go runtime's last words: piped, so that they don't land in our log. Its environment stays empty.
  const worker = new Worker(SCRIPT, { eval: true, workerData: library, env: {}, stdout: true, stderr: true });
  worker.stdout.resume();
  worker.stderr.resume();
  // It is followed by 'exit'; without a listener it would be thrown in this thread.
  worker.on('error', () => undefined);
  return worker;
}

/** `parse config: [f.tf:2,11-3,1: Invalid expression; Expected the start …. f.tf:4,1-2: …]`: the first of them. */
function diagnostic(message: string): Parsed {
  const first = /f\.tf:(?<line>\d+),\d+-[\d,]+: (?<text>.*?)(?= f\.tf:\d|\]$)/s.exec(message)?.groups;
  if (!first) return { error: 'does not parse' };
  return { error: `does not parse: ${first.text}`, line: Number(first.line) };
}
