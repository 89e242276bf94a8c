/** What a person wrote is longer than it may be. Nothing was done. */
export class SaidTooMuch extends Error {
  override name = 'SaidTooMuch';
  constructor(readonly max: number) {
    super(`That is too long: ${max.toLocaleString('en')} characters at most.`);
  }
}

/**
 * What a person wrote into a box, without control characters other than line ends (of which forms have two kinds), and
 * without blanks around it. Throws SaidTooMuch.
 */
export function said(text: string, maxCharacters: number): string {
  const clean = text
    .replaceAll(/\r\n?/g, '\n')
    .replaceAll(/[^\P{Cc}\n]/gu, '')
    .trim();
  if ([...clean].length > maxCharacters) throw new SaidTooMuch(maxCharacters);
  return clean;
}
