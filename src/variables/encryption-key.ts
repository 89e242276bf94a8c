import { randomBytes } from 'node:crypto';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Db } from '../db/pool.js';
import { Encryption } from './encryption.js';

/** The key doesn't fit to the record. The message is for whoever starts Signalbox. */
export class WrongEncryptionKey extends Error {
  override name = 'WrongEncryptionKey';
  constructor(source: string) {
    super(`${source} is not the key with which this record was begun: what is sealed in it could not be opened.`);
  }
}

const CHECK = 'encryption-check';
const KNOWN = Buffer.from('signalbox');

/**
 * The key that seals what is in the record: ENCRYPTION_KEY, or one that is made once in the data directory. A key other
 * than the record's is noticed here, not when the first state is read. Throws WrongEncryptionKey.
 */
export async function openEncryption(db: Db, key: Buffer | undefined, dataDirectory: string): Promise<Encryption> {
  const file = join(dataDirectory, 'encryption-key');
  const encryption = new Encryption(key ?? (await keyFile(file)));
  await db
    .insertInto('settings')
    .values({ name: CHECK, value: encryption.seal(CHECK, KNOWN) })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  const { value } = await db.selectFrom('settings').select('value').where('name', '=', CHECK).executeTakeFirstOrThrow();
  try {
    encryption.open(CHECK, value);
  } catch {
    throw new WrongEncryptionKey(key ? 'ENCRYPTION_KEY' : file);
  }
  return encryption;
}

/**
 * Reads the key, made at the first start. It is whole and on disk before it has its name: without it everything that
 * is sealed is lost. This process has the directory for itself.
 */
async function keyFile(file: string): Promise<Buffer> {
  const known = await readKey(file);
  if (known) return known;
  const made = `${file}.new`;
  await writeFile(made, randomBytes(32).toString('hex'), { mode: 0o600, flush: true });
  await rename(made, file);
  return (await readKey(file)) ?? Promise.reject(new WrongEncryptionKey(file));
}

async function readKey(file: string): Promise<Buffer | undefined> {
  try {
    const key = Buffer.from(await readFile(file, 'utf8'), 'hex');
    if (key.length !== 32) throw new WrongEncryptionKey(file);
    return key;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
