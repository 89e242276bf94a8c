import { relativeTime } from '../../../src/web/browser/relative-time.js';
import { NoClientIdPage, ProblemPage, type ProblemStatus, SignInPage } from '../../../src/web/pages/problem-page.js';
import { NOW, page } from './examples.js';
import { formOf, textOf, textsOf } from './html.js';

describe('the frame', () => {
  const html = String(ProblemPage({ page: page(), status: 404 }));

  it('follows the reader’s colours, and asks nobody else for anything', () => {
    expect(html).toMatch(/^<html lang="en" data-color-mode="auto" data-light-theme="light" data-dark-theme="dark">/);
    expect([...html.matchAll(/ (?:src|href)="([^"]*)"/g)].map(([, url]) => url)).toEqual(
      expect.not.arrayContaining([expect.stringMatching(/^\/\/|^http(?!s:\/\/github\.com$)/)]),
    );
  });

  it('signs out by a form with the session’s token', () => {
    expect(formOf(html, 'Sign out')).toEqual({ method: 'post', action: '/auth/sign-out', fields: ['csrf'] });
    expect(html).toContain('value="the-token"');
    expect(String(NoClientIdPage({ page: page({ session: undefined }) }))).not.toContain('Sign out');
  });

  it('begins with a way past the header', () => {
    expect(html).toMatch(/<body><a class="skip-link" href="#main">/);
    expect(html).toContain('<main id="main"');
  });
});

describe('a problem', () => {
  it.each([400, 403, 404, 405, 409, 410, 429, 500, 503] as ProblemStatus[])(
    '%d is said in words, with a way back',
    (status) => {
      const html = String(ProblemPage({ page: page(), status }));
      expect(textsOf(html, 'h1')).toHaveLength(1);
      expect(html).toContain('<a class="btn" href="/">');
    },
  );

  it('says what became of the run', () => {
    const back = { href: '/runs/run-A', text: 'Back to the run' };
    const html = String(ProblemPage({ page: page(), status: 409, detail: 'The run is <Applied>.', back }));
    expect(textOf(html)).toContain('Too late The run is <Applied>. Back to the run');
  });
});

describe('signing in', () => {
  it('is one link, which knows where to return to', () => {
    const html = String(SignInPage({ page: page({ session: undefined }), returnTo: '/runs/run-A?ask="' }));
    expect(html).toContain('href="/auth/login?return_to=%2Fruns%2Frun-A%3Fask%3D%22"');
  });

  it('says what to set where there is no client id', () => {
    const text = textOf(String(NoClientIdPage({ page: page({ session: undefined }) })));
    expect(text).toContain('GITHUB_CLIENT_ID=…');
    expect(text).toContain('GITHUB_CLIENT_SECRET=…');
  });
});

describe('a time', () => {
  it.each([
    [5, 'just now'],
    [61, '1 minute ago'],
    [7_300, '2 hours ago'],
    [90_000, '1 day ago'],
    [40 * 86_400, '1 month ago'],
    [-120, 'in 2 minutes'],
    [-30, 'in a moment'],
  ])('%d seconds ago is %s', (seconds, words) => {
    expect(relativeTime(new Date(NOW.getTime() - seconds * 1_000), NOW)).toBe(words);
  });
});
