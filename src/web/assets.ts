import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { extname } from 'node:path';
import { Hono } from 'hono';

/** Where the build leaves what browsers are given, seen from src/ and from dist/ alike. */
const BUILT = new URL('../../dist/web/', import.meta.url);

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** Styles, scripts and pictures, in memory: about 150 KB. */
export interface Assets {
  /** The address of `signalbox.css` or `browser/times.js`: it changes whenever any of them does. */
  url(name: string): string;
  /** By path below `/assets/<hash>/`. */
  files: ReadonlyMap<string, Asset>;
}

interface Asset {
  body: Uint8Array<ArrayBuffer>;
  contentType: string;
}

/** Reads what `npm run build` has made. Throws when there is none. */
export async function loadAssets(): Promise<Assets> {
  const files = new Map([...(await filesOf('assets', '')), ...(await filesOf('browser', 'browser/'))]);
  const digest = createHash('sha256');
  for (const [name, { body }] of files) digest.update(`${name}\0${body.byteLength}\0`).update(body);
  const hash = digest.digest('hex').slice(0, 16);
  return { url: (name) => `/assets/${hash}/${name}`, files };
}

/** Serves them: a browser that has one never asks for it again. */
export function assetRoutes(assets: Assets): Hono {
  const app = new Hono();
  for (const [name, { body, contentType }] of assets.files) {
    app.get(assets.url(name), (c) =>
      c.body(body, 200, {
        'Content-Type': contentType,
        'Cache-Control': 'public, max-age=31536000, immutable',
        'X-Content-Type-Options': 'nosniff',
      }),
    );
  }
  return app;
}

async function filesOf(folder: string, prefix: string): Promise<[string, Asset][]> {
  const names = (await readdir(new URL(`${folder}/`, BUILT))).filter((name) => extname(name) in CONTENT_TYPES).sort();
  return Promise.all(
    names.map(async (name): Promise<[string, Asset]> => {
      const body = new Uint8Array(await readFile(new URL(`${folder}/${name}`, BUILT)));
      return [`${prefix}${name}`, { body, contentType: CONTENT_TYPES[extname(name)] ?? '' }];
    }),
  );
}
