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

/** Wraps texts in the colours that Terraform uses for them. */
export const colour = {
  bold: (text: string) => `${ESCAPE}[1m${text}${ESCAPE}[0m`,
  underline: (text: string) => `${ESCAPE}[4m${text}${ESCAPE}[0m`,
  red: (text: string) => `${ESCAPE}[31m${text}${ESCAPE}[0m`,
  yellow: (text: string) => `${ESCAPE}[33m${text}${ESCAPE}[0m`,
  green: (text: string) => `${ESCAPE}[32m${text}${ESCAPE}[0m`,
};
