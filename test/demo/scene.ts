import type { CheckRun, Comment, Person, Repository } from '../support/github/index.js';
import { type Narrator, NotAsTold } from './narrator.js';
import type { Place } from './place.js';

/** What the story says that a check run is, in the end. */
export interface Expected {
  name: string;
  conclusion: string;
  /** A part of it. */
  title: string;
}

/** What a story is told with: the place, who acts in it, and what is seen of it. */
export class Scene {
  readonly infra: Repository;
  /** Every check run that the story has told of, as it said that it is. */
  readonly told = new Map<CheckRun, Expected>();

  constructor(
    readonly narrator: Narrator,
    readonly place: Place,
    private readonly signalboxExit: () => string | undefined,
  ) {
    this.infra = place.infra;
  }

  get alice(): Person {
    return this.place.github.as('alice');
  }

  get bob(): Person {
    return this.place.github.as('bob');
  }

  /** Waits until these check runs of a commit are complete, and checks that they are what the story says. */
  async untilChecks(what: string, sha: string, expected: Expected[]): Promise<CheckRun[]> {
    const fresh = ({ name }: Expected) => this.#newest(sha, name, ({ status }) => status === 'completed');
    const runs = await this.narrator.step(what, () => this.#all(expected.map(fresh)), {
      status: () => expected.map(({ name }) => describe(this.#newest(sha, name))),
      result: (found) => found.filter(({ name }) => name.includes('/')).map(describe),
    });
    for (const [index, run] of runs.entries()) this.#believe(run, expected[index]);
    return runs;
  }

  /** Waits until one check run that is complete already shows something else. */
  async untilShows(what: string, run: CheckRun, expected: Expected): Promise<void> {
    await this.narrator.step(what, () => this.#all([run.title?.includes(expected.title) ? run : undefined]), {
      status: () => [describe(run)],
      result: () => [describe(run)],
    });
    this.#believe(run, expected);
  }

  /** Waits until Signalbox's comment on a pull request has these words, and shows it. */
  async untilComment(number: number, words: string): Promise<void> {
    const find = () => this.comments(number).find(({ app, body }) => app && body.includes(words));
    const comment = await this.narrator.wait(`the comment on #${number} says '${words}'`, () => this.#all([find()]));
    for (const each of comment) this.narrator.comment(each);
  }

  /** A person's comment with a command; what Signalbox made of it is seen once it has reacted. */
  async command(person: Person, number: number, body: string): Promise<void> {
    const comment = await person.comment(this.infra, number, body);
    const reacted = () => (comment.reactions.length > 0 ? comment : undefined);
    await this.narrator.wait(`a reaction to '${body}'`, () => this.#all([reacted()]));
    this.narrator.command(comment);
  }

  comments(number: number): Comment[] {
    return this.place.github.comments(this.infra, number);
  }

  /** The newest of a name that hasn't been told of yet. */
  #newest(sha: string, name: string, like: (run: CheckRun) => boolean = () => true): CheckRun | undefined {
    const runs = this.place.github.checkRuns(this.infra, sha);
    return runs.findLast((run) => run.name === name && !this.told.has(run) && like(run));
  }

  /** All of them, once all are there. Without Signalbox there is nothing to wait for. */
  #all<T>(items: (T | undefined)[]): T[] | undefined {
    const exit = this.signalboxExit();
    if (exit !== undefined) throw new NotAsTold(`Signalbox ended with ${exit}`);
    const present = items.filter((item) => item !== undefined);
    return present.length === items.length ? present : undefined;
  }

  #believe(run: CheckRun, expected: Expected | undefined): void {
    if (!expected) return;
    if (!isAs(run, expected)) {
      const { name, conclusion, title } = expected;
      throw new NotAsTold(`${name} should be ${conclusion}, '${title}', and is ${run.conclusion}, '${run.title}'`);
    }
    this.told.set(run, expected);
  }
}

export function isAs(run: CheckRun, { name, conclusion, title }: Expected): boolean {
  return run.name === name && run.conclusion === conclusion && (run.title ?? '').includes(title);
}

/** 'network: 8 to add', or nothing. */
function describe(run: CheckRun | undefined): string {
  if (!run?.title) return '';
  return `${run.name.replace('signalbox/', '')}: ${run.title.replace(/(?<=\d .*), 0 (?:to )?\w+/g, '')}`;
}
