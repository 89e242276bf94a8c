import type { OutputText } from './output-page.js';
import { formatPosition } from './position.js';
import type { Regions } from './watched-run.js';

const encoder = new TextEncoder();

/** Of the many viewers of a page each is sent the same bytes, not a copy. */
const outputFrames = new WeakMap<OutputText, Uint8Array>();
const regionFrames = new WeakMap<Regions, Map<string, Uint8Array>>();

export const HEARTBEAT = encoder.encode(':\n\n');
/** How long a browser waits before it connects again, in ms. */
export const RETRY = encoder.encode('retry: 1000\n\n');
export const END = frame('end', {});

export function outputFrame(output: OutputText): Uint8Array {
  const known = outputFrames.get(output);
  if (known) return known;
  const { stage, attempt, text } = output;
  const bytes = frame('output', { stage, attempt, text }, formatPosition(output));
  outputFrames.set(output, bytes);
  return bytes;
}

/** Those of the regions that are named. */
export function regionsFrame(regions: Regions, ids: string[]): Uint8Array {
  const frames = regionFrames.get(regions) ?? new Map<string, Uint8Array>();
  regionFrames.set(regions, frames);
  const key = ids.join(' ');
  const bytes = frames.get(key) ?? frame('run', { regions: Object.fromEntries(ids.map((id) => [id, regions[id]])) });
  frames.set(key, bytes);
  return bytes;
}

function frame(event: string, data: object, id?: string): Uint8Array {
  const position = id === undefined ? '' : `id: ${id}\n`;
  return encoder.encode(`${position}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
}
