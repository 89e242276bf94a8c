import { setTimeout as sleep } from 'node:timers/promises';
import type { CheckRun, Comment } from '../support/github/index.js';
import { type CardOptions, checkRunCard } from './check-run-card.js';
import { renderMarkdown } from './markdown.js';
import { clip, columnsOf, isTerminal, lineWidth, paint, print, wrap } from './terminal.js';

const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const LOOK_EVERY_MS = 80;
const LONGEST_SILENCE_MS = 1_800;
const LONGEST_WAIT_MS = 45_000;

const REACTIONS: Record<string, string> = { eyes: '👀', rocket: '🚀', '+1': '👍', confused: '😕' };

/** What the story waited for in vain. */
export class NotAsTold extends Error {
  override name = 'NotAsTold';
}

interface Step {
  what: string;
  result: string[];
  /** ms. */
  took: number;
}

/** Tells the story on a terminal, or in a log. */
export class Narrator {
  readonly #steps: Step[] = [];
  #silent = false;
  #chapter = 0;

  /** Says nothing more: somebody interrupted. */
  silence(): void {
    this.#clearLine();
    this.#silent = true;
  }

  chapter(title: string): void {
    this.#chapter += 1;
    const heading = `${this.#chapter}  ${title} `;
    this.lines(
      '',
      `${paint('bold', heading)}${paint('dim', '─'.repeat(Math.max(3, lineWidth() - heading.length)))}`,
      '',
    );
  }

  say(text: string): void {
    this.lines(...wrap(text, lineWidth()), '');
  }

  lines(...lines: string[]): void {
    if (!this.#silent) for (const line of lines) print(line);
  }

  checkRun(run: CheckRun, options?: CardOptions): void {
    this.lines(...checkRunCard(run, options), '');
  }

  /** What a person wrote, and how Signalbox reacted. */
  command({ user, body, reactions }: Comment): void {
    const seen = reactions.map(({ content }) => REACTIONS[content] ?? content).join(' ');
    this.lines(`  ${paint('bold', user.login)} commented   ${paint('cyan', body)}   ${seen}`, '');
  }

  /** Signalbox's comment on a pull request. */
  comment({ user, body }: Comment): void {
    const rendered = renderMarkdown(body, lineWidth() - 4).map((line) => `${paint('dim', '  ┃ ')}${line}`.trimEnd());
    this.lines(`  ${paint('bold', user.login)} commented`, ...rendered, '');
  }

  /**
   * Waits until there is an answer, and notes each line of `status` that changes meanwhile. Throws NotAsTold. The step
   * goes into the final table with what `result` makes of the answer.
   */
  async step<T>(
    what: string,
    probe: () => T | undefined,
    options: { status: () => string[]; result: (answer: T) => string[] },
  ): Promise<T> {
    const began = performance.now();
    const answer = await this.wait(what, probe, options.status);
    this.#steps.push({ what, result: options.result(answer), took: performance.now() - began });
    return answer;
  }

  /** As `step`, without a place in the table. */
  async wait<T>(what: string, probe: () => T | undefined, status: () => string[] = () => []): Promise<T> {
    const began = performance.now();
    const elapsed = () => performance.now() - began;
    let known = status();
    let spoke = began;
    const note = (text: string) => {
      this.#clearLine();
      this.lines(paint('dim', `  ${seconds(elapsed()).padStart(6)}  ${clip(text, lineWidth() - 10)}`));
      spoke = performance.now();
    };
    for (let frame = 0; ; frame += 1) {
      const answer = probe();
      const present = status();
      for (const [index, line] of present.entries()) if (line !== '' && line !== known[index]) note(line);
      known = present;
      if (answer !== undefined) {
        this.#clearLine();
        if (spoke !== began) this.lines('');
        return answer;
      }
      if (elapsed() > LONGEST_WAIT_MS) throw new NotAsTold(`Waited ${LONGEST_WAIT_MS / 1000} s for this: ${what}`);
      if (isTerminal) this.#spin(FRAMES[frame % FRAMES.length] ?? '', `${seconds(elapsed())}  ${what}`);
      else if (performance.now() - spoke > LONGEST_SILENCE_MS) note(`${what} …`);
      await sleep(LOOK_EVERY_MS);
    }
  }

  /** Waits for what ends by itself. */
  async during(what: string, work: Promise<unknown>): Promise<void> {
    let done: true | undefined;
    let failed: { error: unknown } | undefined;
    work.then(
      () => {
        done = true;
      },
      (error: unknown) => {
        failed = { error };
      },
    );
    const probe = () => {
      if (failed) throw failed.error;
      return done;
    };
    await this.wait(what, probe);
  }

  /** Every step, and how long it took. */
  stepTable(): void {
    const rows = this.#steps.flatMap(({ what, took, result: [first = '', ...others] }) => [
      [what, seconds(took), first],
      ...others.map((other) => ['', '', other]),
    ]);
    this.lines(...columnsOf(['Step', 'Took', 'Result'], 'lrl', rows).map((line) => `  ${line}`), '');
  }

  #spin(frame: string, text: string): void {
    if (!this.#silent) process.stdout.write(`\r\x1b[K  ${frame} ${clip(text, lineWidth() - 6)}`);
  }

  #clearLine(): void {
    if (isTerminal && !this.#silent) process.stdout.write('\r\x1b[K');
  }
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
