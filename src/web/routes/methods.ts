import type { Context } from 'hono';
import { Problem } from './answer.js';

/** Stands behind an address's own method: every other one is refused. */
export function only(method: 'GET' | 'POST') {
  return (c: Context): never => {
    c.header('Allow', method === 'GET' ? 'GET, HEAD' : method);
    throw new Problem(405);
  };
}
