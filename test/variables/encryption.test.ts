import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { createDb, createPool, type Db } from '../../src/db/pool.js';
import { Encryption, SealBroken } from '../../src/variables/encryption.js';
import { openEncryption, WrongEncryptionKey } from '../../src/variables/encryption-key.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

const encryption = new Encryption(Buffer.alloc(32, 1));

describe('what is sealed', () => {
  test('opens where it belongs, whatever it is', () => {
    fc.assert(
      fc.property(fc.string(), fc.uint8Array(), (place, bytes) => {
        const clear = Buffer.from(bytes);
        expect(encryption.open(place, encryption.seal(place, clear))).toEqual(clear);
      }),
    );
  });

  test('cannot be read, and looks different each time', () => {
    const clear = Buffer.from('a secret that is long enough to be found');
    const [one, other] = [encryption.seal('p', clear), encryption.seal('p', clear)];
    expect(one.includes(clear)).toBe(false);
    expect(one).not.toEqual(other);
  });

  test('opens nowhere else, with no other key, and not when a single bit of it was changed', () => {
    const sealed = encryption.seal('plan/run-a', Buffer.from('secret'));
    expect(() => encryption.open('plan/run-b', sealed)).toThrow(SealBroken);
    expect(() => new Encryption(Buffer.alloc(32, 2)).open('plan/run-a', sealed)).toThrow(SealBroken);
    for (let at = 0; at < sealed.length; at++) {
      const changed = Buffer.from(sealed);
      changed[at] = (changed[at] ?? 0) ^ 1;
      expect(() => encryption.open('plan/run-a', changed)).toThrow(SealBroken);
    }
    for (let length = 0; length < sealed.length; length++) {
      expect(() => encryption.open('plan/run-a', sealed.subarray(0, length))).toThrow(SealBroken);
    }
  });

  test('keys for other purposes differ from each other, and stay the same', () => {
    expect(encryption.deriveKey('a')).not.toEqual(encryption.deriveKey('b'));
    expect(encryption.deriveKey('a')).toEqual(new Encryption(Buffer.alloc(32, 1)).deriveKey('a'));
    expect(encryption.deriveKey('a')).toHaveLength(32);
  });
});

describe('the key of a record', () => {
  let database: TestDatabase;
  let db: Db;
  let directory: string;
  beforeEach(async () => {
    database = await createTestDatabase();
    db = createDb(createPool({ connectionString: database.url, max: 4, onError: () => undefined }));
    directory = mkdtempSync(join(tmpdir(), 'signalbox-key-'));
  });
  afterEach(async () => {
    await db.destroy();
    await database.drop();
    rmSync(directory, { recursive: true, force: true });
  });
  const file = () => join(directory, 'encryption-key');

  test('is made once, in a file for this user only', async () => {
    const first = await openEncryption(db, undefined, directory);
    expect(statSync(file()).mode & 0o777).toBe(0o600);
    expect(readFileSync(file(), 'utf8')).toMatch(/^[0-9a-f]{64}$/);
    const again = await openEncryption(db, undefined, directory);
    expect(again.open('x', first.seal('x', Buffer.from('clear'))).toString()).toBe('clear');
  });

  test('is ENCRYPTION_KEY where that is set, and then no file is made', async () => {
    await openEncryption(db, Buffer.alloc(32, 3), directory);
    await openEncryption(db, Buffer.alloc(32, 3), directory);
    expect(() => statSync(file())).toThrow('ENOENT');
  });

  test('is noticed at start when it is another one, which is named', async () => {
    await openEncryption(db, Buffer.alloc(32, 3), directory);
    const wrong = openEncryption(db, Buffer.alloc(32, 4), directory);
    await expect(wrong).rejects.toThrow(WrongEncryptionKey);
    await expect(wrong).rejects.toThrow(/^ENCRYPTION_KEY is not the key with which this record was begun/);
    const made = openEncryption(db, undefined, directory);
    await expect(made).rejects.toThrow(`${file()} is not the key with which this record was begun`);
  });

  test.each(['', 'ab', 'no key at all'])('a file that holds %j is named, and left as it is', async (text) => {
    writeFileSync(file(), text);
    await expect(openEncryption(db, undefined, directory)).rejects.toThrow(`${file()} is not the key`);
    expect(readFileSync(file(), 'utf8')).toBe(text);
  });

  test('is agreed upon by processes that begin a record at once', async () => {
    const key = Buffer.alloc(32, 5);
    await Promise.all([1, 2, 3, 4].map(() => openEncryption(db, key, directory)));
    expect(await db.selectFrom('settings').select('name').execute()).toHaveLength(1);
  });
});
