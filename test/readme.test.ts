import { access, readFile } from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { describeVariables } from '../src/config.js';
import { createDb, createPool } from '../src/db/pool.js';
import { openOperatorView } from '../src/operating/operator-view.js';
import { parseSettingsFile } from '../src/workspaces/settings-file.js';
import { createTestDatabase } from './support/database.js';
import { parseExposition } from './support/exposition.js';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const PAGES = ['README.md', '.github/CONTRIBUTING.md', '.github/SECURITY.md'];

const page = (path: string) => readFile(join(ROOT, path), 'utf8');

describe('the README', () => {
  test('has every variable in its configuration table, and no other', async () => {
    const named = [...section(await page('README.md'), 'Configuration').matchAll(/^\| `(\w+)` \|/gm)].map(([, n]) => n);
    expect(named).toEqual(describeVariables().map(({ name }) => name));
  });

  test('has every metric in its table, and no other', async () => {
    const named = [...section(await page('README.md'), 'Operating it').matchAll(/^\| `(signalbox_\w+)` \|/gm)];
    expect(named.map(([, name]) => name).sort()).toEqual((await metricNames()).sort());
  });

  test('shows settings that can be used as they stand', async () => {
    const [example = ''] = blocks(await page('README.md'), 'yaml');
    const { workspaces, problems } = await parseSettingsFile(example);
    expect(problems).toEqual([]);
    expect(workspaces.map(({ name }) => name)).toEqual(['network', 'app']);
  });
});

describe.each(PAGES)('%s', (path) => {
  test('links to what exists', async () => {
    const broken: string[] = [];
    for (const link of linksOf(await page(path))) if (!(await leadsSomewhere(path, link))) broken.push(link);
    expect(broken).toEqual([]);
  });

  test('has only queries that the record understands', async () => {
    const database = await createTestDatabase();
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    try {
      for (const query of blocks(await page(path), 'sql')) await client.query(query);
    } finally {
      await client.end();
      await database.drop();
    }
  });
});

/** With something of everything that has no line while there is nothing of it. */
async function metricNames(): Promise<string[]> {
  const database = await createTestDatabase();
  const db = createDb(createPool({ connectionString: database.url, max: 2, onError: () => undefined }));
  try {
    await db.insertInto('workers').values({ id: 'w', name: 'w', process: 'p', slots: 1 }).execute();
    await db.insertInto('outbox').values({ kind: 'run_report', subject: 'r', payload: '{}' }).execute();
    const limits = [{ limit: 'requests', allowed: 2, remaining: 1 }];
    const githubBudget = async () => [{ installation: 1, limits, pauseSeconds: 0 }];
    const options = { db, version: '0', roles: ['web', 'worker'], workRoot: '/nonexistent', githubBudget };
    return [...parseExposition(await (await openOperatorView(options)).metrics()).keys()];
  } finally {
    await db.destroy();
    await database.drop();
  }
}

function section(text: string, title: string): string {
  return text.split(/^## /m).find((part) => part.startsWith(`${title}\n`)) ?? '';
}

function blocks(text: string, language: string): string[] {
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'gms'))].map(([, block = '']) => block);
}

function linksOf(text: string): string[] {
  const prose = text.replaceAll(/^```.*?^```/gms, '').replaceAll(/``?[^`\n]*``?(?!\]\()/g, '`');
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link).filter((link) => !/^https?:/.test(link));
}

async function leadsSomewhere(from: string, link: string): Promise<boolean> {
  const [file = '', anchor] = link.split('#');
  const target = file === '' ? from : normalize(join(dirname(from), file));
  try {
    await access(join(ROOT, target));
  } catch {
    return false;
  }
  return anchor === undefined || anchorsOf(await page(target)).includes(anchor);
}

/** As GitHub makes them of headings. */
function anchorsOf(text: string): string[] {
  return [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replaceAll(' ', '-'),
  );
}
