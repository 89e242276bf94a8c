import { type Alias, isAlias, Lexer, type LineCounter, type Node, Parser, parseDocument, visit } from 'yaml';

/** What stands somewhere in a YAML file; an empty value is nothing. */
export type Entry = Node | null | undefined;

/** Where something stands in the text, as offsets. */
export type Range = readonly [start: number, end: number];

export type YamlDocument =
  | { contents: Entry; resolve: (entry: Entry) => Exclude<Entry, Alias> | undefined }
  | { fault: string; range?: Range };

const MAX_BYTES = 1024 * 1024;
const MAX_ALIASES = 100;
const MAX_DEPTH = 50;

/** Reads a text that anybody may have written. `resolve` follows an alias to what it stands for. */
export function readYaml(text: string, lineCounter: LineCounter): YamlDocument {
  if (Buffer.byteLength(text) > MAX_BYTES) return { fault: 'the file is larger than 1 MiB' };
  if (isTooDeep(text)) return { fault: 'the file is nested too deeply' };
  // Duplicate keys are left to the reader, to whom they cost one workspace and not the file.
  const options = { lineCounter, prettyErrors: false, uniqueKeys: false, logLevel: 'error' } as const;
  const document = parseDocument(text, options);
  const error = document.errors[0];
  if (error) return { fault: `not valid YAML: ${error.message}`, range: error.pos };
  let aliases = 0;
  visit(document, { Alias: () => (++aliases > MAX_ALIASES ? visit.BREAK : undefined) });
  // Resolving one searches the whole document.
  if (aliases > MAX_ALIASES) return { fault: `more than ${MAX_ALIASES} YAML aliases` };
  return {
    contents: document.contents,
    resolve: (entry) => (isAlias(entry) ? (entry.resolve(document) as Exclude<Entry, Alias>) : entry),
  };
}

/**
 * Building the document recurses, and where the stack ends in the middle of compiling a regular expression Node doesn't
 * throw but dies. Reading the tokens doesn't recurse.
 */
function isTooDeep(text: string): boolean {
  const parser = new Parser();
  for (const token of new Lexer().lex(text)) {
    for (const _ of parser.next(token));
    if (parser.stack.length > MAX_DEPTH) return true;
  }
  return false;
}
