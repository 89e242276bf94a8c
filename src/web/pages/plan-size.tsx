import { type AttributeView, charactersOf, type PlanView } from '../../terraform/plan-view.js';
import { outputPath } from './addresses.js';

/** What one answer has of attributes at most: a browser lays out some 10 rows in a millisecond. */
export const MOST_ROWS = 5_000;
/** In characters; a long value stands there twice, cut and whole. */
export const MOST_CHARACTERS = 1024 * 1024;
/** Drift and outputs are beside what a plan is about. */
const MOST_BESIDE = 200;
const BESIDE_CHARACTERS = 200 * 1024;

/** Whether all attributes of a plan's resources may stand on one page. */
export function isSmall({ resources }: PlanView): boolean {
  let rows = 0;
  let characters = 0;
  for (const { attributes } of resources) {
    rows += attributes.length;
    characters += attributes.reduce((sum, attribute) => sum + charactersOf(attribute), 0);
    if (rows > MOST_ROWS || characters > MOST_CHARACTERS) return false;
  }
  return true;
}

/** The first of a resource's attributes, as many as one page may have. */
export function fittingAttributes(attributes: AttributeView[]): AttributeView[] {
  return fitting(attributes, (attribute) => ({ rows: 1, characters: charactersOf(attribute) }), {
    rows: MOST_ROWS,
    characters: MOST_CHARACTERS,
  });
}

/** The same of what was changed outside of Terraform, with attributes and all. */
export function fittingDrift(drift: PlanView['drift']): PlanView['drift'] {
  const sizeOf = ({ attributes }: PlanView['drift'][number]) => ({
    rows: 1 + attributes.length,
    characters: attributes.reduce((sum, attribute) => sum + charactersOf(attribute), 0),
  });
  return fitting(drift, sizeOf, { rows: MOST_BESIDE * 5, characters: BESIDE_CHARACTERS });
}

export function fittingOutputs(outputs: PlanView['outputs']): PlanView['outputs'] {
  return fitting(outputs, (output) => ({ rows: 1, characters: charactersOf(output) }), {
    rows: MOST_BESIDE,
    characters: BESIDE_CHARACTERS,
  });
}

interface Size {
  rows: number;
  characters: number;
}

function fitting<T>(list: T[], sizeOf: (one: T) => Size, most: Size): T[] {
  let { rows, characters } = most;
  const end = list.findIndex((one) => {
    const size = sizeOf(one);
    rows -= size.rows;
    characters -= size.characters;
    return rows < 0 || characters < 0;
  });
  return end < 0 ? list : list.slice(0, end);
}

/** What says that not all is there, and where it is. Nothing where all is. */
export function More({ run, left }: { run: string; left: number }) {
  if (left <= 0) return null;
  return (
    <p class="box-row quiet">
      And {left} more, which would be too much for this page: see <a href={outputPath(run, 'plan')}>the whole output</a>
      .
    </p>
  );
}
