import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto';

const VERSION = 1;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** What was sealed can't be opened: another key, another place, or changed on the way. */
export class SealBroken extends Error {
  constructor(place: string) {
    super(`What is sealed in ${place} can't be opened: it was sealed with another ENCRYPTION_KEY, or it was changed.`);
    this.name = 'SealBroken';
  }
}

/**
 * Seals bytes for the record with AES-256-GCM. `place` says where the sealed bytes belong (`plan/run-x`); it is bound
 * to them, so that bytes moved to another place in the record don't open there.
 */
export class Encryption {
  readonly #key: Buffer;

  /** `key`: 32 bytes. */
  constructor(key: Buffer) {
    this.#key = key;
  }

  seal(place: string, clear: Buffer): Buffer {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce);
    cipher.setAAD(Buffer.from(place));
    const sealed = Buffer.concat([cipher.update(clear), cipher.final()]);
    return Buffer.concat([Buffer.from([VERSION]), nonce, cipher.getAuthTag(), sealed]);
  }

  open(place: string, sealed: Buffer): Buffer {
    const tagStart = 1 + NONCE_BYTES;
    if (sealed[0] !== VERSION || sealed.length < tagStart + TAG_BYTES) throw new SealBroken(place);
    const decipher = createDecipheriv('aes-256-gcm', this.#key, sealed.subarray(1, tagStart));
    decipher.setAAD(Buffer.from(place));
    decipher.setAuthTag(sealed.subarray(tagStart, tagStart + TAG_BYTES));
    try {
      return Buffer.concat([decipher.update(sealed.subarray(tagStart + TAG_BYTES)), decipher.final()]);
    } catch {
      throw new SealBroken(place);
    }
  }

  /** A key for another purpose, which tells nothing about this one. */
  deriveKey(purpose: string): Buffer {
    return createHmac('sha256', this.#key).update(purpose).digest();
  }
}
