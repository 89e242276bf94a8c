const ESCAPE = '\u001b';

/** Every terminal control sequence: CSI (colour, cursor), OSC (titles, links), and single escapes. */
const SEQUENCES = new RegExp(
  [
    `${ESCAPE}\\[[0-?]*[ -/]*[@-~]`,
    `${ESCAPE}\\][^\\u0007${ESCAPE}]*(?:\\u0007|${ESCAPE}\\\\)?`,
    `${ESCAPE}[ -/]*[0-~]?`,
  ].join('|'),
  'g',
);

/** A text without colour and any other terminal control sequence. */
export function stripColour(text: string): string {
  return text.replace(SEQUENCES, '');
}

/** A sequence that may go on in the next piece: what of it is there. Its like in a sane text is a few characters long. */
const BEGUN = new RegExp(`${ESCAPE}(?:\\[[0-?]*[ -/]*|\\][^\\u0007${ESCAPE}]*|[ -/]*)$`);
const LONGEST_HELD = 4_096;

/** The same for a text that comes in pieces. */
export class ColourStripper {
  #held = '';

  push(piece: string): string {
    const text = this.#held + piece;
    const begun = BEGUN.exec(text.slice(text.lastIndexOf(ESCAPE)));
    this.#held = begun && begun[0].length <= LONGEST_HELD ? begun[0] : '';
    return stripColour(text.slice(0, text.length - this.#held.length));
  }

  end(): string {
    const rest = stripColour(this.#held);
    this.#held = '';
    return rest;
  }
}

/** Wraps texts in the colours that Terraform uses for them. */
export const colour = {
  bold: (text: string) => `${ESCAPE}[1m${text}${ESCAPE}[0m`,
  underline: (text: string) => `${ESCAPE}[4m${text}${ESCAPE}[0m`,
  red: (text: string) => `${ESCAPE}[31m${text}${ESCAPE}[0m`,
  yellow: (text: string) => `${ESCAPE}[33m${text}${ESCAPE}[0m`,
  green: (text: string) => `${ESCAPE}[32m${text}${ESCAPE}[0m`,
};
