import fc from 'fast-check';
import { defaultSettings, type WorkspaceSettings } from '../../src/workspaces/settings.js';
import { affectedWorkspaces } from '../../src/workspaces/triggers.js';

function workspace(directory: string, more: Partial<WorkspaceSettings> = {}): WorkspaceSettings {
  return { ...defaultSettings(directory, directory), ...more };
}

const root = workspace('.');
const network = workspace('infra/network', {
  triggerPrefixes: ['modules/vpc'],
  triggerPatterns: ['shared/**/*.tf', 'env/*.{json,yml}'],
});
const dns = workspace('infra/dns');

describe('a change', () => {
  test.each([
    ['in the directory', 'infra/network/main.tf', [network]],
    ['deep in the directory', 'infra/network/files/a/b', [network]],
    ['of a submodule or file that is the directory', 'infra/network', [network]],
    ['in a directory whose name begins alike', 'infra/network2/main.tf', []],
    ['above the directory', 'infra/main.tf', []],
    ['in a prefix', 'modules/vpc/main.tf', [network]],
    ['beside a prefix', 'modules/vpc2/x', []],
    ['that a pattern matches', 'shared/a/b/c.tf', [network]],
    ['that a pattern matches with no directory between', 'shared/c.tf', [network]],
    ['that a pattern matches at a dot file', 'shared/.hidden/.x.tf', [network]],
    ['that a pattern with alternatives matches', 'env/prod.yml', [network]],
    ['that no pattern matches', 'shared/a/b/c.md', []],
    ['in a path with odd characters', 'infra/dns/a b\n*[x].tf', [dns]],
  ])('%s affects whom it should', (_, path, expected) => {
    expect(affectedWorkspaces([root, network, dns], [path])).toEqual([root, ...expected]);
  });

  test('that nobody knows affects everything, and none nothing', () => {
    expect(affectedWorkspaces([root, network, dns], 'unknown')).toEqual([root, network, dns]);
    expect(affectedWorkspaces([root, network, dns], [])).toEqual([]);
  });

  test('of the settings file alone affects nothing, not even the root or a pattern for all', () => {
    const all = workspace('x', { triggerPatterns: ['**'], triggerPrefixes: ['.'] });
    expect(affectedWorkspaces([root, all, workspace('.github')], ['.github/signalbox.yml'])).toEqual([]);
    expect(affectedWorkspaces([root, all], ['.github/signalbox.yml', 'a'])).toEqual([root, all]);
  });

  test('in many long paths is looked up quickly', () => {
    const many = Array.from({ length: 300 }, (_, i) =>
      workspace(`w/${i}`, { triggerPatterns: [`shared/**/*x${i}*.md`] }),
    );
    const paths = Array.from({ length: 1_000 }, (_, i) => `shared/${'a/'.repeat(40)}${i}.md`);
    const started = performance.now();
    expect(affectedWorkspaces(many, paths)).toEqual([]);
    expect(performance.now() - started).toBeLessThan(60_000);
  });

  test('anywhere affects exactly those in whose directory or prefixes it lies', () => {
    const segment = fc.constantFrom('a', 'b', 'ab', '.c', 'constructor');
    const path = fc.array(segment, { minLength: 1, maxLength: 4 }).map((segments) => segments.join('/'));
    fc.assert(
      fc.property(
        fc.array(fc.tuple(path, fc.array(path, { maxLength: 2 }))),
        fc.array(path),
        (directories, changed) => {
          const workspaces = directories.map(([directory, triggerPrefixes]) =>
            workspace(directory, { triggerPrefixes }),
          );
          const expected = workspaces.filter((w) =>
            [w.directory, ...w.triggerPrefixes].some((p) => changed.some((c) => c === p || c.startsWith(`${p}/`))),
          );
          expect(affectedWorkspaces(workspaces, changed)).toEqual(expected);
        },
      ),
    );
  });
});
