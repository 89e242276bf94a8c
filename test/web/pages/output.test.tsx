import { Output, type OutputProps } from '../../../src/web/pages/output.js';

const html = (props: Partial<OutputProps>) =>
  String(<Output run="run-1" stage="plan" text="" position={undefined} more={false} running={false} {...props} />);

/** What a browser would say is the log's textContent. */
function textOf(page: string): string {
  const log = /<div class="Output-log"[^>]*>(.*?)<\/div><\/div>/s.exec(page)?.[1] ?? '';
  return log
    .replace(/<[^>]*>/g, '')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&');
}

test('an output is readable without scripts, its lines have addresses, and its text is what Terraform printed', () => {
  const text = 'one\n\u001b[1m<script>alert("1")</script>\u001b[0m & \'two\'\n\nfour';
  const page = html({ text, position: 'plan.1.3', running: true });
  expect(page).toContain('<details class="Output-fold" open="">');
  expect(page).toContain('role="log" aria-label="Plan output" aria-live="off" tabindex="0" data-stage="plan"');
  expect(page).toContain(
    '<a id="plan-L2" data-line="2" href="#plan-L2" tabindex="-1" aria-label="Line 2"></a><span class="ansi-bold">&lt;script&gt;',
  );
  expect(page).toContain('data-position="plan.1.3"');
  expect(page).not.toContain('<script');
  expect(page).not.toContain('style=');
  expect(textOf(page)).toBe('one\n<script>alert("1")</script> & \'two\'\n\nfour');
});

test('it is folded when its stage has ended, and hidden while there is none', () => {
  expect(html({ text: 'x', position: 'plan.1.0' })).toContain('<details class="Output-fold">');
  expect(html({})).toMatch(/^<section [^>]*hidden=""/);
  expect(html({ running: true })).not.toMatch(/^<section [^>]*hidden=""/);
});

test('it says where the rest is, or why there is nothing', () => {
  expect(html({ text: 'x', more: true })).toContain('All of it is in <a href="/runs/run-1/plan.txt">Raw</a>');
  const removed = html({ removed: 'It was removed <b>.' });
  expect(removed).toContain('It was removed &lt;b&gt;.');
  expect(removed).not.toContain('role="log"');
});
