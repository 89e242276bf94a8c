import { nearest } from '../workspaces/did-you-mean.js';
import { MAX_REASON_LENGTH } from '../workspaces/lock.js';

/** What a comment may ask for. */
export const VERBS = ['apply', 'plan', 'discard', 'cancel', 'force-cancel', 'lock', 'unlock', 'help'] as const;
export type Verb = (typeof VERBS)[number];

/** A command whose names are all known; no names means every workspace that the pull request affects. */
export interface Command {
  verb: Verb;
  /** As the workspaces are really called, each once, in the order they were asked for. */
  workspaces: string[];
  /** Why a workspace is to be locked: what follows the names, in one line of 300 characters at most. */
  reason?: string;
}

/** Addressed to Signalbox, but no workspaces are called so: worth an answer. */
export interface UnknownNames {
  verb: Verb;
  /** As they were written, each once. */
  unknown: string[];
}

/**
 * Reads a comment. A command is a first line of
 *
 *     [ "/" | "signalbox " | "@signalbox " | "/signalbox " ] verb { name }
 *
 * and anything else is conversation: `undefined`. Verbs have no case; a name is exact, or unique when case is left
 * aside. What follows the first line is a remark. A bare verb with any other word after it is conversation ("apply this
 * later"). An addressed one whose other words could all be names gets the unknown ones back, so that a misspelling is
 * answered; with punctuation in it, it is conversation too. Quotes, fences and HTML comments begin with something else
 * and four spaces are a code block, so none of these is a command. Linear in the length of the comment.
 *
 * What follows the names of a `lock` is its reason: see `readLock`.
 */
export function parseCommand(body: string, knownWorkspaceNames: readonly string[]): Command | UnknownNames | undefined {
  const match =
    /^ {0,3}(?<address>\/signalbox[ \t]+|@?signalbox[ \t]+|\/)?(?<verb>[a-z]+(?:-[a-z]+)*)(?<colon>:)?(?![^ \t])/i.exec(
      firstLine(body),
    );
  if (!match) return undefined;
  const verb = VERBS.find((candidate) => candidate === match.groups?.verb?.toLowerCase());
  if (!verb) return undefined;

  const words = firstLine(body)
    .slice(match[0].length)
    .split(/[ \t]+/)
    .filter(Boolean);
  const addressed = match.groups?.address !== undefined;
  const colon = match.groups?.colon !== undefined;
  if (verb === 'lock') return readLock(words, { addressed, colon }, knownWorkspaceNames);
  if (colon) return undefined;
  const resolve = resolver(knownWorkspaceNames);
  const unknown = words.filter((word) => resolve(word) === undefined);
  if (unknown.length === 0) return { verb, workspaces: unique(words.map((word) => resolve(word) ?? word)) };
  return addressed && words.every((word) => /^[\w-]+$/.test(word)) ? { verb, unknown: unique(unknown) } : undefined;
}

/**
 * The first words of a `lock` are names for as long as they are known; a colon behind one ends them, for a reason that
 * begins with a name ("lock network: dns moves"). The rest is the reason. A bare `lock` has one only behind a name:
 * "lock this later please" is conversation, and "/lock this later please" locks what the pull request affects. A reason
 * that begins with what is nearly a name is taken for a misspelling, unless a colon comes before it.
 */
function readLock(
  words: readonly string[],
  { addressed, colon }: { addressed: boolean; colon: boolean },
  known: readonly string[],
): Command | UnknownNames | undefined {
  if (colon && !addressed) return undefined;
  const resolve = resolver(known);
  const names: string[] = [];
  let ended = colon;
  while (!ended) {
    const word = words[names.length] ?? '';
    const name = resolve(word.replace(/:$/, ''));
    if (name === undefined) break;
    names.push(name);
    ended = word.endsWith(':');
  }
  const rest = words.slice(names.length);
  if (rest[0] === ':') {
    rest.shift();
    ended = true;
  }
  if (!addressed && names.length === 0 && words.length > 0) return undefined;
  const [first = ''] = rest;
  if (!ended && isMisspelt(first, known)) return { verb: 'lock', unknown: [first] };
  const reason = reasonOf(rest);
  return { verb: 'lock', workspaces: unique(names), ...(reason !== '' && { reason }) };
}

/** Short words are near to too many others. */
function isMisspelt(word: string, known: readonly string[]): boolean {
  const near = /^[\w-]{1,90}$/.test(word) ? nearest(word, known) : undefined;
  return near !== undefined && (word.length > 3 || near.toLowerCase() === word.toLowerCase());
}

function reasonOf(words: readonly string[]): string {
  const line = words.join(' ').slice(0, 4 * MAX_REASON_LENGTH);
  const characters = Array.from(line.replace(/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]+/gu, ' ').trim());
  return characters.length <= MAX_REASON_LENGTH
    ? characters.join('')
    : `${characters.slice(0, MAX_REASON_LENGTH - 1).join('')}…`;
}

function firstLine(body: string): string {
  const end = body.search(/[\r\n]/);
  return end < 0 ? body : body.slice(0, end);
}

function resolver(names: readonly string[]): (word: string) => string | undefined {
  const exact = new Set(names);
  const folded = new Map<string, string | undefined>();
  for (const name of exact) folded.set(name.toLowerCase(), folded.has(name.toLowerCase()) ? undefined : name);
  return (word) => (exact.has(word) ? word : folded.get(word.toLowerCase()));
}

function unique(words: string[]): string[] {
  return [...new Set(words)];
}
