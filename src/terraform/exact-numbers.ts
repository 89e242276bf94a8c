import { randomBytes } from 'node:crypto';

/** A number that JavaScript can't hold, as the JSON has it. */
export class ExactNumber {
  constructor(readonly text: string) {}
}

/** More digits than these don't all survive being a JavaScript number. */
const LONG = /[:[,]\s*-?[\d.]{16}/;
/** What a look at JSON outside of its strings stops at. */
const STOPS = /"|-?\d[\d.eE+-]{15,}/g;

/** `JSON.parse`, but numbers of more than 15 digits (Terraform's have any number of them) are kept as they are written. */
export function parseExactly(json: string): unknown {
  if (!LONG.test(json)) return JSON.parse(json);
  // Not to be guessed: no string of the JSON can pass for a number.
  const mark = `${randomBytes(16).toString('hex')}:`;
  const marked = replaceNumbers(json, (number) => JSON.stringify(mark + number));
  return JSON.parse(marked, (_, value) =>
    typeof value === 'string' && value.startsWith(mark) ? new ExactNumber(value.slice(mark.length)) : value,
  );
}

/** Strings are skipped by hand: an expression for them overflows the stack of expressions on one of several MB. */
function replaceNumbers(json: string, replaced: (number: string) => string): string {
  const stops = new RegExp(STOPS);
  const parts: string[] = [];
  let taken = 0;
  for (let stop = stops.exec(json); stop; stop = stops.exec(json)) {
    const [token] = stop;
    if (token === '"') {
      stops.lastIndex = endOfString(json, stop.index);
    } else {
      parts.push(json.slice(taken, stop.index), replaced(token));
      taken = stops.lastIndex;
    }
  }
  return parts.join('') + json.slice(taken);
}

/** Behind the quotation mark that ends the string that begins at `start`. */
function endOfString(json: string, start: number): number {
  for (let at = json.indexOf('"', start + 1); at >= 0; at = json.indexOf('"', at + 1)) {
    let escapes = 0;
    while (json[at - 1 - escapes] === '\\') escapes++;
    if (escapes % 2 === 0) return at + 1;
  }
  return json.length;
}
