import { createHash, timingSafeEqual } from 'node:crypto';
import type { Context } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import type { Session } from '../signin/session.js';

/** More than any form of ours sends, in bytes. */
const LARGEST_FORM = 64 * 1024;

/** A form is larger than any of ours; the answer to it is 413. */
export class FormTooLarge extends Error {
  override name = 'FormTooLarge';
}

/** Stands before every route that reads a form. What is larger isn't read: throws FormTooLarge. */
export const formLimit = bodyLimit({
  maxSize: LARGEST_FORM,
  onError: () => {
    throw new FormTooLarge();
  },
});

/**
 * Whether a request comes from a page of ours, as far as the browser tells. One that tells nothing is old, or no browser:
 * then the form's token decides alone.
 */
export function sameOrigin(c: Context): boolean {
  const site = c.req.header('sec-fetch-site');
  if (site !== undefined) return site === 'same-origin';
  const origin = c.req.header('origin');
  if (origin === undefined) return true;
  return URL.canParse(origin) && new URL(origin).host === c.req.header('host');
}

/**
 * The fields of a form that a page of ours sent for this session, whose token stands in its field `csrf`. Undefined: it is
 * forged, or the page is of an older session; the answer to it is 403. Only text is kept, and of fields with one name the last.
 */
export async function checkForm(c: Context, session: Session): Promise<Record<string, string> | undefined> {
  if (!sameOrigin(c)) return undefined;
  let body: Record<string, unknown>;
  try {
    body = await c.req.parseBody();
  } catch {
    return undefined;
  }
  const fields = Object.entries(body).filter((field): field is [string, string] => typeof field[1] === 'string');
  const form = Object.fromEntries(fields);
  return equal(form.csrf ?? '', session.csrf) ? form : undefined;
}

/** In a time that tells nothing about the token. */
function equal(given: string, token: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(token));
}
