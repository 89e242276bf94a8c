import { ResourcePage } from '../../../src/web/pages/resource-page.js';
import { RunPlan } from '../../../src/web/pages/run-plan.js';
import { attribute, page, repository, resource, shown } from './examples.js';
import { textOf } from './html.js';

const rows = (count: number, length = 1) =>
  Array.from({ length: count }, (_, n) => attribute(`a${n}`, undefined, 'x'.repeat(length)));
const html = (plan: Partial<Parameters<typeof RunPlan>[0]['plan'] & object>) =>
  String(RunPlan({ shown: shown(), plan: { resources: [], drift: [], outputs: [], ...plan } }));
const MIB = 1024 * 1024;

describe('a plan on the page', () => {
  it('has its attributes there while they are few', () => {
    const text = html({ resources: [resource({ attributes: rows(3) })] });
    expect(text).toContain('<bdi>a2</bdi>');
    expect(text).not.toContain('data-attributes');
  });

  it.each([
    ['many', rows(5_001)],
    ['long', rows(2, MIB)],
  ])('has them at another address when those of a single resource are %s', (_, attributes) => {
    const text = html({ resources: [resource({ attributes })] });
    expect(text).toMatch(/<a data-attributes[^>]* href="\/runs\/[^"]+\/resources\/0">/);
    expect(text.length).toBeLessThan(10_000);
  });

  it('says how many of drift, outputs and resources it leaves out, and where they are', () => {
    const drift = Array.from({ length: 300 }, (_, n) => resource({ address: `x.drift${n}`, attributes: rows(9) }));
    const outputs = Array.from({ length: 500 }, (_, n) => ({ name: `o${n}`, action: 'create' as const }));
    const resources = Array.from({ length: 5_007 }, (_, n) => resource({ address: `x.y${n}` }));
    const text = html({ drift, outputs, resources });
    const said = textOf(text).match(/And \d+ more, which would be too much for this page: see the whole output/g);
    expect(said?.map((sentence) => Number.parseInt(sentence.slice(4), 10))).toEqual([7, 300, 200]);
    expect(text).toMatch(/href="\/runs\/[^"]+\/plan.txt"/);
    expect(text.length).toBeLessThan(5 * MIB);
    expect(html({ drift: [resource({ attributes: rows(1, MIB) })] }).length).toBeLessThan(10_000);
  });

  it("is bounded, too, on a resource's own page", () => {
    const own = (attributes: ReturnType<typeof rows>) =>
      String(ResourcePage({ page: page(), run: shown().run, repository, resource: resource({ attributes }) }));
    expect(textOf(own(rows(5_003)))).toContain('And 3 more');
    expect(textOf(own(rows(3, MIB)))).toContain('And 3 more');
    expect(textOf(own(rows(5)))).not.toContain('And ');
  });
});
