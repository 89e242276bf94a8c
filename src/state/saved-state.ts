import type { Db, Tx } from '../db/pool.js';
import type { Run } from '../db/schema.js';
import { resourceAddresses } from '../terraform/state-file.js';
import type { Encryption } from '../variables/encryption.js';
import { StateVersions } from './state-versions.js';

/** Looks into the state on record for what an apply that died has left out. */
export class SavedState {
  readonly #encryption: Encryption;

  constructor(encryption: Encryption) {
    this.#encryption = encryption;
  }

  /**
   * Addresses that Terraform said were done, or had begun, and of which the newest state on record knows nothing. What was
   * destroyed is among them as well: an address doesn't tell; so is one whose key is masked on record, since it can't be looked up. A state that can't be read
   * counts as empty.
   */
  async unsaved(db: Db | Tx, { workspace_id, progress }: Pick<Run, 'workspace_id' | 'progress'>): Promise<string[]> {
    const versions = new StateVersions(db as Db, this.#encryption);
    const sealed = await versions.newest(workspace_id);
    const known = sealed ? addressesIn(versions.open(workspace_id, sealed)) : new Set<string>();
    return [...new Set([...(progress?.done ?? []), ...(progress?.inFlight ?? [])])].filter(
      (address) => !known.has(address),
    );
  }
}

function addressesIn(state: Buffer): ReadonlySet<string> {
  try {
    return resourceAddresses(state);
  } catch {
    return new Set();
  }
}
