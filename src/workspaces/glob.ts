/**
 * Path patterns: `*` and `?` within a segment, `**` as a segment for any number of them, `[a-z]`, `[!a-z]`, `{a,b}`; dot files are
 * like others. Matching takes at most the path's length times the pattern's: the usual libraries compile to regular
 * expressions that backtrack, and with a stranger's fork choosing the paths `*a*a*a*b` would stop the server.
 */
export type Glob = (path: string) => boolean;

const MAX_ALTERNATIVES = 64;

/** The pattern compiled, or nothing if its braces have more than 64 alternatives. */
export function compileGlob(pattern: string): Glob | undefined {
  const alternatives = expand(pattern.replace(/^(\.\/)+/, '').replace(/\/$/, '/**'));
  if (alternatives.length > MAX_ALTERNATIVES) return undefined;
  const programs = alternatives.map(compile);
  return (path) => programs.some((program) => matches(program, path));
}

/** One step; which step is next depends on the character. */
type Step =
  | { kind: 'one'; test: (character: string) => boolean }
  | { kind: 'star' }
  /** `**` at the end. */
  | { kind: 'rest' }
  /** `**` and its slash: at the beginning of a segment, and (always the next step) inside of one. */
  | { kind: 'segments' }
  | { kind: 'segment' };

type Program = { steps: Step[]; prefix: string; suffix: string };

function compile(pattern: string): Program {
  // What has no wildcard at its ends stands there as it is; a bracket's end is no text.
  const prefix = /^[^*?[]*/.exec(pattern)?.[0] ?? '';
  const suffix = /[^*?\]]*$/.exec(pattern)?.[0] ?? '';
  return { steps: parse(pattern), prefix, suffix: suffix.replace(/^\//, '') };
}

function parse(pattern: string): Step[] {
  const steps: Step[] = [];
  for (let at = 0; at < pattern.length; at++) {
    const isSegmentStart = at === 0 || pattern[at - 1] === '/';
    const rest = pattern.slice(at);
    const set = /^\[(?<not>[!^]?)(?<members>\]?[^\]/]+)\]/.exec(rest)?.groups;
    if (isSegmentStart && rest.startsWith('**/')) {
      steps.push({ kind: 'segments' }, { kind: 'segment' });
      at += 2;
    } else if (isSegmentStart && rest === '**') {
      steps.push({ kind: 'rest' });
      at++;
    } else if (rest.startsWith('*')) steps.push({ kind: 'star' });
    else if (rest.startsWith('?')) steps.push({ kind: 'one', test: (character) => character !== '/' });
    else if (set) {
      const isMember = membership(set.members ?? '');
      steps.push({ kind: 'one', test: (c) => c !== '/' && isMember(c) === (set.not === '') });
      at += (set.not ?? '').length + (set.members ?? '').length + 1;
    } else steps.push({ kind: 'one', test: (character) => character === pattern[at] });
  }
  return steps;
}

function membership(members: string): (character: string) => boolean {
  const ranges = [...members.matchAll(/(.)-(.)|(.)/gsu)].map(([, from, to, one]) => [from ?? one, to ?? one]);
  return (character) => ranges.some(([from = '', to = '']) => from <= character && character <= to);
}

/** All ways to match are followed at once, as a set of steps to take next. */
function matches({ steps, prefix, suffix }: Program, path: string): boolean {
  // Most paths differ in these already.
  if (!path.startsWith(prefix) || !path.endsWith(suffix)) return false;
  let states: number[] = [];
  let next: number[] = [];
  const seen = new Int32Array(steps.length + 1).fill(-1);
  /** Adds a step, and those that follow it without a character. */
  const add = (to: number[], state: number, at: number) => {
    if (seen[state] === at) return;
    seen[state] = at;
    to.push(state);
    const kind = steps[state]?.kind;
    if (kind === 'star' || kind === 'rest') add(to, state + 1, at);
    else if (kind === 'segments') add(to, state + 2, at);
  };
  add(states, 0, 0);
  for (let at = 0; at < path.length && states.length > 0; at++) {
    const character = path[at] as string;
    for (const state of states) {
      const to = follow(steps[state], state, character);
      if (to >= 0) add(next, to, at + 1);
    }
    [states, next] = [next, states];
    next.length = 0;
  }
  return states.includes(steps.length);
}

/** Where a step leads with this character, or -1. */
function follow(step: Step | undefined, state: number, character: string): number {
  switch (step?.kind) {
    case 'one':
      return step.test(character) ? state + 1 : -1;
    case 'star':
      return character === '/' ? -1 : state;
    case 'rest':
      return state;
    case 'segments':
      return state + 1;
    case 'segment':
      return character === '/' ? state - 1 : state;
    case undefined:
      return -1;
  }
}

/** `a{b,c{d,e}}` as `ab`, `acd`, `ace`; braces without a comma stand for themselves. Stops soon after the limit. */
function expand(pattern: string): string[] {
  const done: string[] = [];
  const open = [{ text: pattern, from: 0 }];
  for (let next = open.pop(); next && done.length + open.length <= MAX_ALTERNATIVES; next = open.pop()) {
    const { text, from } = next;
    const start = text.indexOf('{', from);
    const options = start < 0 ? undefined : alternativesAt(text, start);
    if (start < 0) done.push(text);
    else if (!options) open.push({ text, from: start + 1 });
    else {
      for (const option of options.texts.reverse()) {
        open.push({ text: text.slice(0, start) + option + text.slice(options.end), from: start });
      }
    }
    if (done.length + open.length > MAX_ALTERNATIVES) return [...done, ...open.map((entry) => entry.text)];
  }
  return done;
}

function alternativesAt(text: string, start: number): { texts: string[]; end: number } | undefined {
  const texts: string[] = [];
  let depth = 0;
  let from = start + 1;
  for (let at = start; at < text.length; at++) {
    const character = text[at];
    if (character === '{') depth++;
    else if (character === '}') depth--;
    if ((character === ',' && depth === 1) || depth === 0) {
      texts.push(text.slice(from, at));
      from = at + 1;
    }
    if (depth === 0) return texts.length > 1 ? { texts, end: at + 1 } : undefined;
  }
  return undefined;
}
