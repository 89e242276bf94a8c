import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Mirror, Mirrors } from '../../src/git/mirror.js';
import { createLog } from '../../src/log.js';
import { GitServer, type TestRepository } from './git-server.js';

export const log = createLog({ level: 'silent', format: 'json' });

/** A git server, and for each test a repository of its own with an empty mirror. */
export class MirrorWorld {
  readonly server: GitServer;
  directory = '';
  name = '';
  repository!: TestRepository;
  mirror!: Mirror;
  #count = 0;

  private constructor(server: GitServer) {
    this.server = server;
  }

  static async start(): Promise<MirrorWorld> {
    return new MirrorWorld(await GitServer.start());
  }

  begin(): void {
    this.directory = mkdtempSync(join(tmpdir(), 'signalbox-mirrors-'));
    this.name = `infra-${++this.#count}`;
    this.repository = this.server.create('acme', this.name);
    this.mirror = this.newMirror();
  }

  end(): void {
    this.server.trouble = {};
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** As another process would have it. */
  newMirror(options: { token?: string; fetchTimeoutMs?: number; githubUrl?: string } = {}): Mirror {
    const { token = this.server.token, githubUrl = this.server.url, fetchTimeoutMs } = options;
    const mirrors = new Mirrors({
      directory: this.directory,
      githubUrl,
      tokenFor: async () => token,
      log,
      ...(fetchTimeoutMs === undefined ? {} : { fetchTimeoutMs }),
    });
    return mirrors.of({ id: 7, owner: 'acme', name: this.name });
  }

  emptyDirectory(): string {
    return mkdtempSync(join(this.directory, 'checkout-'));
  }
}
