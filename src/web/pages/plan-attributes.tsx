import { plural } from '../../reports/words.js';
import type { AttributeView, ValueView } from '../../terraform/plan-view.js';
import { Foreign, LongText } from './foreign.js';

/** The attributes of one resource, before and after, as a diff shows lines. */
export function AttributeTable({ attributes }: { attributes: AttributeView[] }) {
  const changed = attributes.filter(({ change }) => change !== 'same');
  const same = attributes.filter(({ change }) => change === 'same');
  return (
    <div class="attributes">
      {changed.length > 0 && <Table attributes={changed} label="Changes" />}
      {same.length > 0 && (
        <details class="more">
          <summary>{plural(same.length, 'unchanged attribute')}</summary>
          <Table attributes={same} label="Unchanged" />
        </details>
      )}
    </div>
  );
}

/** One-sided where there is only one side: all that is created, or destroyed. */
function Table({ attributes, label }: { attributes: AttributeView[]; label: string }) {
  const before = attributes.some((attribute) => attribute.before !== undefined);
  const after = attributes.some((attribute) => attribute.after !== undefined) || !before;
  return (
    <table class={`diff ${before && after ? 'diff-both' : 'diff-one'}`} aria-label={label}>
      {before && after && (
        <thead>
          <tr>
            <th scope="col">Attribute</th>
            <th scope="col">Before</th>
            <th scope="col">After</th>
          </tr>
        </thead>
      )}
      <tbody>
        {attributes.map((attribute) => (
          <tr>
            <th scope="row">
              <Foreign text={attribute.path} max={300} />
              {attribute.forcesReplacement && <span class="forces">forces replacement</span>}
            </th>
            {before && <Side value={attribute.before} side="before" changed={attribute.change !== 'same'} />}
            {after && <Side value={attribute.after} side="after" changed={attribute.change !== 'same'} />}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Side({ value, side, changed }: { value: ValueView | undefined; side: 'before' | 'after'; changed: boolean }) {
  return <td class={changed && value ? `side-${side}` : 'side-none'}>{value && <Value value={value} />}</td>;
}

/** A longer value is cut, and stands in full behind a fold. */
const CUT_CHARACTERS = 400;
const CUT_LINES = 12;

export function Value({ value }: { value: ValueView }) {
  if (value.kind === 'sensitive') return <em class="hidden-value">(sensitive value)</em>;
  if (value.kind === 'unknown') return <em class="hidden-value">(known after apply)</em>;
  return <LongText text={value.text} characters={CUT_CHARACTERS} lines={CUT_LINES} />;
}
