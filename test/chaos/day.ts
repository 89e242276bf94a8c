import { setTimeout as sleep } from 'node:timers/promises';
import { parseCommand } from '../../src/github/command.js';
import type { CheckRun, Comment, PullHandle, Repository } from '../support/github/index.js';
import {
  pathOf,
  REPOSITORIES,
  RESOURCES,
  type RepositoryName,
  resourceFile,
  settingsFile,
  WORKSPACES,
  workspacesOf,
} from './configuration.js';
import type { Place } from './place.js';
import type { Random } from './random.js';

/** A move of a branch that somebody pushed or merged. */
export interface Push {
  repository: RepositoryName;
  branch: string;
  before: string | undefined;
  after: string;
  at: number;
}

export interface Command {
  repository: RepositoryName;
  number: number;
  body: string;
  comment: Comment;
  at: number;
}

export interface Press {
  repository: RepositoryName;
  /** The run that the check run shows. */
  run: string;
  button: string;
  by: string;
  at: number;
}

interface OpenPull {
  repository: RepositoryName;
  branch: string;
  handle: PullHandle;
  workspaces: string[];
}

/** How often people do what, beside the other things. */
const HABITS = {
  push: 22,
  open: 9,
  update: 6,
  apply: 10,
  merge: 6,
  close: 2,
  press: 34,
  cancel: 4,
  discard: 3,
  plan: 2,
  chat: 1,
  lock: 3,
  unlock: 4,
  'force-cancel': 2,
};
type Habit = keyof typeof HABITS;

const MOST_OPEN_PULLS = 4;

/** What people do on a day, every decision from the seed. What GitHub itself doesn't let them do, they leave. */
export class Day {
  readonly pushes: Push[] = [];
  readonly commands: Command[] = [];
  readonly presses: Press[] = [];
  readonly counts: Record<string, number> = {};
  #pulls: OpenPull[] = [];
  #version = 0;
  readonly #long: boolean;

  constructor(
    private readonly place: Place,
    private readonly random: Random,
    private readonly tell: (text: string) => void,
  ) {
    // An apply of more than 20 s sends snapshots of its state on its way; a short day has no time for one.
    this.#long = place.options.minutes >= 2;
  }

  /** Each repository's first push. */
  async begin(): Promise<void> {
    for (const name of REPOSITORIES) {
      const files: Record<string, string> = { '.github/signalbox.yml': settingsFile(name) };
      for (const workspace of workspacesOf(name)) {
        const resources = this.random.some(RESOURCES, this.random.integer(3, 6));
        Object.assign(files, this.#change(workspace.name, resources, 1));
      }
      await this.#push(name, 'main', files);
    }
  }

  async go(until: number): Promise<void> {
    while (Date.now() < until) {
      const habit = this.random.weighted(HABITS);
      try {
        await this.#follow(habit);
      } catch (error) {
        if (!isRefusalOfGitHub(error)) throw error;
        this.#count(`${habit}, which GitHub refused`);
      }
      await sleep(this.random.between(200, 2_200));
    }
  }

  /** Presses a button of a run that waits, as somebody does at the end of the day. False: there is none to press. */
  async decide(): Promise<boolean> {
    const waiting = this.#waiting();
    for (const run of waiting) await this.#press(run, this.random.chance(0.7) ? 'apply' : 'discard', 'carol');
    return waiting.length > 0;
  }

  /** Takes away locks, and merges or closes the pull requests that check runs say they are held for. */
  async release(): Promise<void> {
    for (const repository of REPOSITORIES) {
      const queued = newestOf(this.place.repository(repository)).filter(({ status }) => status === 'queued');
      const titles = queued.map(({ title }) => title ?? '');
      if (titles.some((title) => /lock/i.test(title))) {
        const last = this.#pulls.findLast((pull) => pull.repository === repository);
        const names = workspacesOf(repository).map(({ name }) => name);
        await this.#comment(last ?? (await this.#open(repository)), `unlock ${names.join(' ')}`, 'root');
      }
      for (const pull of this.#openPulls().filter((each) => each.repository === repository)) {
        if (!titles.some((title) => title.includes(`#${pull.handle.number}`))) continue;
        await (this.random.chance(0.5) ? this.#merge(pull) : this.#close(pull)).catch(() => this.#close(pull));
      }
    }
  }

  async #follow(habit: Habit): Promise<void> {
    const { random } = this;
    const pull = random.pick(this.#openPulls());
    const any = random.pick(this.#pulls);
    switch (habit) {
      case 'push':
        return this.#pushToMain();
      case 'open':
        if (this.#openPulls().length < MOST_OPEN_PULLS) await this.#open(random.pick(REPOSITORIES) ?? 'platform');
        return;
      case 'update':
        return pull && this.#update(pull);
      case 'merge':
        return pull && this.#merge(pull);
      case 'close':
        return pull && this.#close(pull);
      case 'press': {
        const run = random.pick(this.#waiting().length > 0 && random.chance(0.8) ? this.#waiting() : this.#pressable());
        const button = random.pick(run?.actions ?? []);
        const by = random.chance(0.1) ? 'bob' : 'alice';
        return run && button && this.#press(run, button.identifier, by);
      }
      case 'apply': {
        const planned = random.pick(this.#openPulls().filter((each) => this.#isPlanned(each))) ?? pull;
        return planned && this.#comment(planned, habit, 'alice');
      }
      case 'plan':
        return pull && this.#comment(pull, habit, 'alice');
      case 'force-cancel':
        return any && this.#comment(any, habit, random.chance(0.7) ? 'root' : 'carol');
      case 'cancel':
      case 'discard': {
        const name = random.pick(any?.workspaces ?? []);
        return any && this.#comment(any, random.chance(0.5) ? habit : `${habit} ${name}`, 'carol');
      }
      case 'chat':
        return any && this.#comment(any, 'apply this later, please', 'bob');
      case 'lock':
      case 'unlock': {
        const name = random.pick(workspacesOf(any?.repository ?? ''))?.name;
        const body = habit === 'lock' ? `lock ${name} maintenance` : `unlock ${name}`;
        return any && this.#comment(any, body, random.chance(0.3) ? 'root' : 'alice');
      }
    }
  }

  async #pushToMain(): Promise<void> {
    const { random } = this;
    const repository = random.pick(REPOSITORIES) ?? 'platform';
    const touched = random.some(workspacesOf(repository), random.weighted({ '1': 6, '2': 3, '3': 1 }) === '1' ? 1 : 2);
    await this.#push(repository, 'main', this.#changeSome(touched.map(({ name }) => name)));
  }

  async #open(repository: RepositoryName): Promise<OpenPull> {
    const { random } = this;
    const touched = random.some(workspacesOf(repository), random.chance(0.3) ? 2 : 1).map(({ name }) => name);
    const branch = `change-${this.#version + 1}`;
    await this.#push(repository, branch, this.#changeSome(touched), 'main');
    const handle = await this.place.github
      .as('alice')
      .openPullRequest(this.place.repository(repository), { head: branch, title: `Change ${touched.join(' and ')}` });
    const pull = { repository, branch, handle, workspaces: touched };
    this.#pulls.push(pull);
    this.#count('pull requests opened');
    this.tell(`alice opens ${repository}#${handle.number} (${touched.join(', ')})`);
    return pull;
  }

  async #update(pull: OpenPull): Promise<void> {
    const name = this.random.pick(pull.workspaces) ?? '';
    await this.#push(pull.repository, pull.branch, this.#changeSome([name]));
    this.#count('pull requests updated');
  }

  async #merge({ repository, handle }: OpenPull): Promise<void> {
    const target = this.place.repository(repository);
    const before = await target.head('main');
    const method = this.random.pick(['merge', 'squash'] as const) ?? 'merge';
    const after = await this.place.github.as('alice').merge(target, handle.number, method);
    this.pushes.push({ repository, branch: 'main', before, after, at: Date.now() });
    this.#count('pull requests merged');
    this.tell(`alice merges ${repository}#${handle.number} as ${after.slice(0, 7)}`);
  }

  async #close({ repository, handle }: OpenPull): Promise<void> {
    await this.place.github.as('alice').close(this.place.repository(repository), handle.number);
    this.#count('pull requests closed');
    this.tell(`alice closes ${repository}#${handle.number}`);
  }

  async #comment({ repository, handle }: OpenPull, body: string, by: string): Promise<void> {
    const { number } = handle;
    const at = Date.now();
    const comment = await this.place.github.as(by).comment(this.place.repository(repository), number, body);
    if (
      parseCommand(
        body,
        WORKSPACES.map(({ name }) => name),
      )
    ) {
      this.commands.push({ repository, number, body, comment, at });
      this.#count(`comments: ${body.split(' ')[0]}`);
    }
    this.tell(`${by} comments on ${repository}#${number}: ${body}`);
  }

  async #press(run: CheckRun, button: string, by: string): Promise<void> {
    const repository = run.repository.name as RepositoryName;
    const [id = ''] = run.externalId.split('/');
    const at = Date.now();
    await this.place.github.as(by).press(run, button);
    this.presses.push({ repository, run: id, button, by, at });
    this.#count(`buttons: ${button}`);
    this.tell(`${by} presses ${button} on ${run.name} ${id}`);
  }

  async #push(repository: RepositoryName, branch: string, files: Record<string, string | null>, from?: string) {
    const target = this.place.repository(repository);
    const before = await target.head(branch);
    const options = { branch, files, message: `Change ${this.#version}`, ...(from !== undefined && { from }) };
    const after = await this.place.github.as('alice').push(target, options);
    this.pushes.push({ repository, branch, before, after, at: Date.now() });
    this.#count(branch === 'main' ? 'pushes to main' : 'pushes to branches');
    this.tell(`alice pushes ${after.slice(0, 7)} to ${repository} ${branch}: ${Object.keys(files).length} files`);
  }

  /** Changes one to three resources of each workspace; now and then one goes. */
  #changeSome(workspaces: string[]): Record<string, string | null> {
    const files: Record<string, string | null> = {};
    for (const workspace of workspaces) {
      const [first, ...others] = this.random.some(RESOURCES, this.random.integer(2, 4));
      const gone = this.random.chance(0.15) ? first : undefined;
      const changed = gone === undefined ? [first, ...others] : others;
      const slow = this.#long && this.random.chance(0.08) ? 12 : 1;
      Object.assign(
        files,
        this.#change(
          workspace,
          changed.filter((name) => name !== undefined),
          slow,
        ),
      );
      if (gone !== undefined) files[pathOf(workspace, gone)] = null;
    }
    return files;
  }

  #change(workspace: string, resources: readonly string[], slow: number): Record<string, string> {
    this.#version += 1;
    const journal = this.place.journal.port;
    return Object.fromEntries(
      resources.map((resource) => {
        const seconds = Math.round(this.random.between(0, 2) * slow * 10) / 10;
        const change = { version: String(this.#version), seconds, journal };
        return [pathOf(workspace, resource), resourceFile(workspace, resource, change)];
      }),
    );
  }

  #openPulls(): OpenPull[] {
    return this.#pulls.filter(({ handle }) => handle.pull.issue.state === 'open');
  }

  #isPlanned({ handle, repository }: OpenPull): boolean {
    const shown = this.place.github.checkRuns(this.place.repository(repository), handle.headSha);
    return shown.some(({ actions }) => actions.some(({ identifier }) => identifier === 'apply'));
  }

  /** Check runs that show a button: the newest of their name and commit. */
  #pressable(): CheckRun[] {
    return [...this.place.repositories.values()].flatMap((repository) => {
      return newestOf(repository).filter(({ status, actions }) => status === 'completed' && actions.length > 0);
    });
  }

  #waiting(): CheckRun[] {
    return this.#pressable().filter(({ conclusion }) => conclusion === 'action_required');
  }

  #count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
  }
}

function newestOf(repository: Repository): CheckRun[] {
  const newest = new Map<string, CheckRun>();
  for (const run of repository.checkRuns) newest.set(`${run.headSha} ${run.name}`, run);
  return [...newest.values()];
}

/** A conflict, a button that has gone meanwhile, a head that was merged already. */
function isRefusalOfGitHub(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return 'status' in error || /has no button|shows no buttons|No commits between/.test(error.message);
}
