import type { CheckRun } from '../support/github/index.js';
import { NotAsTold } from './narrator.js';
import { isAs, type Scene } from './scene.js';

/** What must be true in the end, whatever was told. Throws NotAsTold. */
export function judge({ place, infra, told }: Scene): void {
  const { github } = place;
  const [violation] = github.violations;
  if (violation)
    throw new NotAsTold(`GitHub's API has no such request: ${violation.request}: ${violation.errors.join('; ')}`);
  const [reopened] = github.reopened;
  if (reopened) throw new NotAsTold(`${reopened.name} was completed and opened again`);
  const runs = github.checkRuns(infra);
  for (const run of runs) {
    const expected = told.get(run);
    if (!expected) throw new NotAsTold(`the story doesn't know of ${describe(run)}`);
    if (!isAs(run, expected)) throw new NotAsTold(`${describe(run)} isn't what the story told: ${expected.title}`);
  }
  for (const run of told.keys()) if (!runs.includes(run)) throw new NotAsTold(`${describe(run)} is gone`);
}

function describe({ name, headSha, conclusion, title }: CheckRun): string {
  return `${name} on ${headSha.slice(0, 7)} (${conclusion}, '${title}')`;
}
