import { join } from 'node:path';
import { LocalGitHub, type Repository } from '../support/github/index.js';
import { app, network, SERVICE_MODULE, SETTINGS } from './sample.js';

/** The local GitHub as the story finds it. */
export interface Place {
  github: LocalGitHub;
  /** Two workspaces. Empty until `pushSample`. */
  infra: Repository;
  /** Public, and without the App. */
  modules: Repository;
  /** Where `app` takes its module from: whatever is on that repository's main. */
  moduleSource: string;
}

/** alice and bob, and the repositories of their organisation. Deliveries go to Signalbox on `port`. */
export async function openPlace(directory: string, port: number): Promise<Place> {
  const github = await LocalGitHub.start({
    directory: join(directory, 'github'),
    webhook: { url: `http://127.0.0.1:${port}/api/github/webhooks`, secret: 'secret of the demo' },
  });
  await github.createUser('alice');
  await github.createUser('bob');
  await github.createOrganization('acme', { owners: ['bob'] });
  const modules = await github.createRepository({ owner: 'acme', name: 'modules', install: false });
  await github.as('bob').push(modules, { message: 'A service', files: { 'service/main.tf': SERVICE_MODULE } });
  const infra = await github.createRepository({ owner: 'acme', name: 'infra', private: true });
  await infra.setPermission('alice', 'write');
  return { github, infra, modules, moduleSource: `git::${modules.cloneUrl()}//service?ref=main` };
}

export function pushSample({ github, infra, moduleSource }: Place): Promise<string> {
  return github.as('alice').push(infra, {
    message: 'Begin with a network and two services',
    files: {
      '.github/signalbox.yml': SETTINGS,
      'network/main.tf': network(),
      'app/main.tf': app(moduleSource, ['web', 'search']),
    },
  });
}
