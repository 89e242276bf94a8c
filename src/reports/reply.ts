import { shorten } from './markdown.js';

/** An answer to a command, with what it is found again by. */
export function replyComment(key: string, body: string): string {
  return `${shorten(body, 60_000)}\n\n${replyMarker(key)}\n`;
}

/** Keys are ours, but may hold anything: nothing of one may end the HTML comment. */
export function replyMarker(key: string): string {
  return `<!-- signalbox: reply ${Buffer.from(key).toString('base64url')} -->`;
}
