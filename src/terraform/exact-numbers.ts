import { randomBytes } from 'node:crypto';

/** A number that JavaScript can't hold, as the JSON has it. */
export class ExactNumber {
  constructor(readonly text: string) {}
}

/** More digits than these don't all survive being a JavaScript number. */
const LONG = /[:[,]\s*-?[\d.]{16}/;
const TOKENS = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g;

/** `JSON.parse`, but numbers of more than 15 digits (Terraform's have any number of them) are kept as they are written. */
export function parseExactly(json: string): unknown {
  if (!LONG.test(json)) return JSON.parse(json);
  // Not to be guessed: no string of the JSON can pass for a number.
  const mark = `${randomBytes(16).toString('hex')}:`;
  const marked = json.replace(TOKENS, (token) =>
    token[0] === '"' || token.length < 16 ? token : JSON.stringify(mark + token),
  );
  return JSON.parse(marked, (_, value) =>
    typeof value === 'string' && value.startsWith(mark) ? new ExactNumber(value.slice(mark.length)) : value,
  );
}
