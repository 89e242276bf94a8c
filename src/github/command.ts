/** What a comment may ask for. */
export const VERBS = ['apply', 'plan', 'discard', 'cancel', 'help'] as const;
export type Verb = (typeof VERBS)[number];

/** A command whose names are all known; no names means every workspace that the pull request affects. */
export interface Command {
  verb: Verb;
  /** As the workspaces are really called, each once, in the order they were asked for. */
  workspaces: string[];
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
 */
export function parseCommand(body: string, knownWorkspaceNames: readonly string[]): Command | UnknownNames | undefined {
  const match = /^ {0,3}(?<address>\/signalbox[ \t]+|@?signalbox[ \t]+|\/)?(?<verb>[a-z]+)(?![^ \t])/i.exec(
    firstLine(body),
  );
  if (!match) return undefined;
  const verb = VERBS.find((candidate) => candidate === match.groups?.verb?.toLowerCase());
  if (!verb) return undefined;

  const words = firstLine(body)
    .slice(match[0].length)
    .split(/[ \t]+/)
    .filter(Boolean);
  const resolve = resolver(knownWorkspaceNames);
  const unknown = words.filter((word) => resolve(word) === undefined);
  if (unknown.length === 0) return { verb, workspaces: unique(words.map((word) => resolve(word) ?? word)) };
  const addressed = match.groups?.address !== undefined;
  return addressed && words.every((word) => /^[\w-]+$/.test(word)) ? { verb, unknown: unique(unknown) } : undefined;
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
