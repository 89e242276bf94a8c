import { type RawBuilder, sql } from 'kysely';

/** One page of a list, the newest first. The cursors are opaque and fit for a URL; undefined: there is nothing there. */
export interface Listing<T> {
  rows: T[];
  newer: string | undefined;
  older: string | undefined;
}

/** Where a page begins: older than `before`, or newer than `after`. Neither: at the top. */
export interface Position {
  before?: string | undefined;
  after?: string | undefined;
}

/** A cursor that no page of this list has given out. */
export class BadCursor extends Error {
  override name = 'BadCursor';
  constructor() {
    super('There is no such page.');
  }
}

/** What a page is read by. `beyond` is a condition of the rows, `order` their order, of the same columns. */
export interface PageQuery {
  beyond: RawBuilder<boolean>;
  order: RawBuilder<unknown>;
  limit: number;
}

/** How a list is paged. */
export interface Paging<T> {
  /** Of one list a cursor means nothing in another. */
  list: string;
  /** The columns that order the rows, the largest first: whole numbers, together unique. */
  columns: readonly RawBuilder<unknown>[];
  keyOf: (row: T) => readonly number[];
  limit: number;
}

/**
 * Reads one page by `read`, twice at most. A way up that ends at the top yields the whole first page, and not just the rows
 * that are new there. Throws BadCursor.
 */
export async function readPage<T>(
  { list, columns, keyOf, limit }: Paging<T>,
  { before, after }: Position,
  read: (query: PageQuery) => Promise<T[]>,
): Promise<Listing<T>> {
  const tuple = sql.join(columns);
  const cursor = (row: T | undefined) => row && encode(list, keyOf(row));
  if (before !== undefined && after !== undefined) throw new BadCursor();
  if (after !== undefined) {
    const beyond = sql<boolean>`(${tuple}) > (${bounds(list, columns.length, after)})`;
    const found = await read({ beyond, order: inOrder(columns, sql`asc`), limit: limit + 1 });
    if (found.length > limit) {
      const rows = found.slice(0, limit).reverse();
      return { rows, newer: cursor(rows[0]), older: cursor(rows.at(-1)) };
    }
  }
  const beyond =
    before === undefined ? sql<boolean>`true` : sql<boolean>`(${tuple}) < (${bounds(list, columns.length, before)})`;
  const found = await read({ beyond, order: inOrder(columns, sql`desc`), limit: limit + 1 });
  const rows = found.slice(0, limit);
  return {
    rows,
    newer: before === undefined ? undefined : (cursor(rows[0]) ?? before),
    older: found.length > limit ? cursor(rows.at(-1)) : undefined,
  };
}

/** A pattern for `ilike` that finds a text anywhere, whatever is in it. PostgreSQL has no texts with a zero byte. */
export function containing(text: string): string {
  return `%${text.replaceAll('\0', '').replace(/[\\%_]/g, '\\$&')}%`;
}

function inOrder(columns: readonly RawBuilder<unknown>[], direction: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql.join(columns.map((column) => sql`${column} ${direction}`));
}

function bounds(list: string, length: number, cursor: string): RawBuilder<unknown> {
  return sql.join(decode(list, length, cursor).map((value) => sql`${value}::bigint`));
}

function encode(list: string, key: readonly number[]): string {
  return Buffer.from([list, ...key].join(' ')).toString('base64url');
}

function decode(list: string, length: number, cursor: string): number[] {
  const [name, ...numbers] = Buffer.from(cursor.slice(0, 200), 'base64url').toString().split(' ');
  const key = numbers.map(Number);
  const isWhole = numbers.every((text) => /^\d{1,16}$/.test(text)) && key.every(Number.isSafeInteger);
  if (name !== list || key.length !== length || !isWhole) throw new BadCursor();
  return key;
}
