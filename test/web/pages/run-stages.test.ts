import { stagesOf } from '../../../src/web/pages/run-stages.js';
import { event, run } from '../../reports/examples.js';
import { NOW, timeline } from './examples.js';

const looks = (stages: ReturnType<typeof stagesOf>) => stages.map(({ name, look }) => `${name} ${look}`);

describe('the stages of a run', () => {
  it('are done, waiting and to come', () => {
    const stages = stagesOf(run({ state: 'needs_confirmation' }), timeline, NOW);
    expect(looks(stages)).toEqual(['Queue done', 'Plan done', 'Confirm waiting', 'Apply ahead']);
    expect(stages.map(({ spentMs }) => spentMs)).toEqual([1_400, 13_600, 154_000, undefined]);
  });

  it('stop where a run failed or was ended', () => {
    const failed = event('plan_failed', '09:02:30', { state: 'plan_errored' });
    const ended = { ended_at: failed.at };
    const stages = stagesOf(run({ state: 'plan_errored', ...ended }), [...timeline.slice(0, 2), failed], NOW);
    expect(looks(stages)).toEqual(['Queue done', 'Plan failed', 'Confirm skipped', 'Apply skipped']);
    const discarded = event('discarded', '09:03:00', { state: 'discarded' });
    expect(looks(stagesOf(run({ state: 'discarded', ...ended }), [...timeline, discarded], NOW))).toEqual([
      ...['Queue done', 'Plan done', 'Confirm stopped', 'Apply skipped'],
    ]);
  });

  it('are two of a speculative plan', () => {
    const stages = stagesOf(run({ state: 'planned', speculative: true }), timeline.slice(0, 2), NOW);
    expect(looks(stages)).toEqual(['Queue done', 'Plan done']);
  });
});
