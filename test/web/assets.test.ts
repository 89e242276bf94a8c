import { type Assets, assetRoutes, loadAssets } from '../../src/web/assets.js';
import { usedTokens } from '../../src/web/tokens.js';

let assets: Assets;
const get = (path: string) => assetRoutes(assets).request(path);

beforeAll(async () => {
  assets = await loadAssets();
});

describe('assets', () => {
  it('are kept for ever by whoever has them', async () => {
    const response = await get(assets.url('signalbox.css'));
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('text/css; charset=utf-8');
    expect(response.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
    expect(response.headers.get('x-content-type-options')).toBe('nosniff');
  });

  it('have scripts as modules, and pictures', async () => {
    expect((await get(assets.url('browser/times.js'))).headers.get('content-type')).toBe(
      'text/javascript; charset=utf-8',
    );
    expect((await get(assets.url('browser/relative-time.js'))).status).toBe(200);
    expect((await get(assets.url('mark.svg'))).headers.get('content-type')).toBe('image/svg+xml');
  });

  it.each(['/assets/0000000000000000/signalbox.css', '/assets/signalbox.css', '/assets/'])(
    'has nothing at %s',
    async (path) => {
      expect((await get(path)).status).toBe(404);
    },
  );

  it.each(['../../../package.json', '..%2f..%2findex.js', 'browser/../../index.js', 'browser/times.js.map'])(
    'lead to no other file: %s',
    async (name) => {
      expect((await get(assets.url(name))).status).toBe(404);
    },
  );

  it('are small', () => {
    expect(assets.files.get('signalbox.css')?.body.byteLength).toBeLessThan(150_000);
  });

  it('have both themes, whatever the page asks for', () => {
    const css = Buffer.from(assets.files.get('signalbox.css')?.body ?? []).toString();
    expect(css).toContain('[data-color-mode="auto"][data-light-theme="light"]');
    expect(css).toContain('prefers-color-scheme: dark');
  });
});

describe('tokens', () => {
  it('stay when a style or another token in use needs them', () => {
    const tokens = ':root{--a: 1px;--b: var(--a);--c: 2px;}';
    expect(usedTokens(tokens, 'p{width:var(--b)}')).toBe(':root{--a: 1px;--b: var(--a);}');
  });
});
