/** Text that other people wrote, which must neither break the line it stands in nor turn what stands around it. */

/** `text` in at most `max` characters, with what was left out as '…'. */
export function cut(text: string, max: number): string {
  if (text.length <= max) return text;
  return `${[...text.slice(0, max)].slice(0, max - 1).join('')}…`;
}

/** The first line of a commit's message, or of whatever else. */
export function firstLine(text: string): string {
  return text.trimStart().split('\n', 1)[0]?.trim() ?? '';
}

/** In one line: cut, and wrapped where there is no space, too. */
export function Foreign({ text, max = 200 }: { text: string; max?: number }) {
  const shown = cut(text, max);
  return <bdi title={shown === text ? undefined : cut(text, 1_000)}>{shown}</bdi>;
}

/** A name in code: a workspace, a branch, an address. */
export function Code({ text, max = 200 }: { text: string; max?: number }) {
  return (
    <code>
      <Foreign text={text} max={max} />
    </code>
  );
}

/** A GitHub login, or Signalbox itself. */
export function Login({ login }: { login: string | null }) {
  return (
    <strong class="login">
      <Foreign text={login ?? 'Signalbox'} max={80} />
    </strong>
  );
}

/** In as many lines as it has, in full behind a fold where it is longer than that. */
export function LongText({ text, characters, lines: most }: { text: string; characters: number; lines: number }) {
  const lines = text.split('\n');
  const short = cut(lines.slice(0, most).join('\n'), characters);
  if (short === text) return <bdi class="value">{text}</bdi>;
  const size = lines.length > most ? `${lines.length} lines` : `${text.length} characters`;
  return (
    <>
      <bdi class="value">{short}</bdi>
      <details class="more">
        <summary>All {size}</summary>
        <bdi class="value">{text}</bdi>
      </details>
    </>
  );
}
