/** `; did you mean \`auto-apply\`?` when a known word is near, else nothing. */
export function didYouMean(word: string, known: readonly string[]): string {
  const near = nearest(word, known);
  return near === undefined ? '' : `; did you mean \`${near}\`?`;
}

/** The known word that a word is probably a misspelling of. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const plain = (text: string) => text.toLowerCase().replaceAll(/[-_ ]/g, '');
  return known
    .map((candidate) => ({ candidate, edits: edits(plain(word.slice(0, 64)), plain(candidate)) }))
    .filter(({ candidate, edits }) => edits <= Math.min(3, Math.ceil(candidate.length / 4)))
    .sort((a, b) => a.edits - b.edits)[0]?.candidate;
}

/** The Levenshtein distance. */
function edits(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
