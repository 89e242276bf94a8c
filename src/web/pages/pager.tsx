import { withQuery } from './addresses.js';
import { Icon } from './icon.js';

export interface PagerProps {
  /** Cursors, opaque. */
  newer: string | undefined;
  older: string | undefined;
  address: string;
  /** The list's filter: it stays. */
  query: Record<string, string | undefined>;
  fragment?: string;
  label: string;
  /** Beginning of the query's words `before` and `after`, where a page has two lists. */
  prefix?: string;
}

/** The links between pages of a list; nothing when it fits on one. */
export function Pager({ newer, older, address, query, fragment = '', label, prefix = '' }: PagerProps) {
  if (newer === undefined && older === undefined) return null;
  const after = `${prefix}after`;
  const before = `${prefix}before`;
  return (
    <nav class="pager" aria-label={label}>
      {newer !== undefined && (
        <a class="btn" rel="prev" href={withQuery(address, { ...query, [after]: newer }, fragment)}>
          <Icon name="chevron-left" /> Newer
        </a>
      )}
      {older !== undefined && (
        <a class="btn" rel="next" href={withQuery(address, { ...query, [before]: older }, fragment)}>
          Older <Icon name="chevron-right" />
        </a>
      )}
    </nav>
  );
}
