import type { SettingsProblem } from '../queue/outbox.js';
import { MAX_ANNOTATIONS } from './annotations.js';
import type { CheckRunContent } from './check-run-content.js';
import { cutMiddle } from './long-text.js';
import { fence, oneLine, plain, shorten } from './markdown.js';
import { plural } from './words.js';

export const SETTINGS_CHECK_NAME = 'signalbox/config';

/** What is wrong with `.github/signalbox.yml` at a commit, on its lines. */
export function settingsCheck(problems: SettingsProblem[], externalId: string): CheckRunContent {
  const sound = problems.length === 0;
  return {
    name: SETTINGS_CHECK_NAME,
    external_id: externalId,
    status: 'completed',
    conclusion: sound ? 'success' : 'failure',
    output: {
      title: sound ? 'The settings are sound' : plural(problems.length, 'problem'),
      summary: sound ? 'Every workspace in the settings file can be used.' : summaryOf(problems),
      annotations: problems.slice(0, MAX_ANNOTATIONS).map(({ path, message, line, endLine }) => ({
        path,
        start_line: Math.max(1, line),
        end_line: Math.max(1, line, endLine ?? line),
        annotation_level: 'failure' as const,
        title: 'Settings of workspaces',
        message: shorten(plain(message), 8_000) || 'This is not understood.',
      })),
    },
    actions: [],
  };
}

function summaryOf(problems: SettingsProblem[]): string {
  const lines = problems.map(({ path, line, message }) => `${path}:${line}: ${shorten(oneLine(message), 500)}`);
  const rest = problems.length - MAX_ANNOTATIONS;
  return [
    'A workspace with a problem gets no runs until it is fixed. The others go on.',
    fence(cutMiddle(`${lines.join('\n')}\n`, 50_000, 'fix these first'), 'text').trimEnd(),
    rest > 0 ? `${rest} of them are not shown on their lines: GitHub takes ${MAX_ANNOTATIONS} at once.` : '',
  ]
    .filter(Boolean)
    .join('\n\n');
}
