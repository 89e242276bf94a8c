import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';

const DIRECTORY = fileURLToPath(new URL('../../.github/screens/', import.meta.url));
/** `npm run screenshots` says so. */
const wanted = process.env.SCREENSHOTS !== undefined;

type Look = 'light' | 'dark' | 'narrow';

/** Takes the picture of a page that the README shows, when it is asked for. */
export async function screen(page: Page, name: string, look: Look = 'light'): Promise<void> {
  if (!wanted) return;
  await mkdir(DIRECTORY, { recursive: true });
  const usual = page.viewportSize();
  await page.emulateMedia({ colorScheme: look === 'dark' ? 'dark' : 'light' });
  if (look === 'narrow') await page.setViewportSize({ width: 375, height: 720 });
  await page.screenshot({ path: join(DIRECTORY, `${name}.png`), animations: 'disabled', caret: 'hide' });
  await page.emulateMedia({ colorScheme: null });
  if (look === 'narrow' && usual) await page.setViewportSize(usual);
}
