import type { Child } from 'hono/jsx';
import { type RunState, stateTitle } from '../../runs/machine.js';
import { Icon } from './icon.js';
import { RUN_STATES } from './state.js';

export interface ListFilterProps {
  address: string;
  /** What is searched: the box's label. */
  label: string;
  q: string | undefined;
  state: RunState | undefined;
  /** More fields. */
  children?: Child;
  /** Something is filtered: there is a way back to all. */
  filtered: boolean;
}

/** Search box and state, as a form whose words stand in the address. */
export function ListFilter({ address, label, q, state, filtered, children }: ListFilterProps) {
  return (
    <search>
      <form class="list-filter" method="get" action={address}>
        <span class="search-box">
          <Icon name="search" tone="muted" />
          <input
            type="search"
            name="q"
            value={q ?? ''}
            class="form-control"
            placeholder={label}
            aria-label={label}
            maxlength={200}
          />
        </span>
        <select name="state" class="form-select" aria-label="State">
          <option value="">All states</option>
          {RUN_STATES.map((each) => (
            <option value={each} selected={each === state}>
              {stateTitle(each)}
            </option>
          ))}
        </select>
        {children}
        <button type="submit" class="btn">
          Filter
        </button>
        {filtered && (
          <a class="clear" href={address}>
            <Icon name="x" /> Clear
          </a>
        )}
      </form>
    </search>
  );
}
