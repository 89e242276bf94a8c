import { readStateSummary, resourceAddresses, StateFileError } from '../../src/terraform/state-file.js';

const state = (resources: object[]) => JSON.stringify({ version: 4, serial: 3, lineage: 'l', resources });

test('addresses are those that Terraform writes: of modules, counted and keyed instances, and not of data', () => {
  const found = resourceAddresses(
    state([
      { mode: 'managed', type: 'a', name: 'one', instances: [{}] },
      { mode: 'managed', type: 'a', name: 'many', instances: [{ index_key: 0 }, { index_key: 1 }] },
      { mode: 'managed', module: 'module.m["x"]', type: 'a', name: 'keyed', instances: [{ index_key: `k"\${x}` }] },
      { mode: 'managed', type: 'a', name: 'none', instances: [] },
      { mode: 'data', type: 'a', name: 'read', instances: [{}] },
    ]),
  );
  expect([...found]).toEqual(['a.one', 'a.many[0]', 'a.many[1]', `module.m["x"].a.keyed["k\\"$\${x}"]`]);
});

test('a state that has nothing has no addresses, and what is no state is refused', () => {
  expect(resourceAddresses('{"version":4,"serial":1,"lineage":"l","resources":null}').size).toBe(0);
  for (const wrong of ['', '{}', '{"version":3}', '[]']) {
    expect(() => resourceAddresses(wrong)).toThrow(StateFileError);
    expect(() => readStateSummary(wrong)).toThrow(StateFileError);
  }
});
