import type { Child } from 'hono/jsx';
import { withQuery } from './addresses.js';
import { Icon } from './icon.js';
import { Layout } from './layout.js';
import type { PageContext } from './page-context.js';

export type ProblemStatus = 400 | 403 | 404 | 405 | 409 | 410 | 413 | 429 | 500 | 503;

export interface ProblemPageProps {
  page: PageContext;
  status: ProblemStatus | 200;
  /** Else what such a problem is called. */
  title?: string | undefined;
  /** What is the matter in this case; else what such a problem is in general. */
  detail?: string | undefined;
  /** Where to go from here; else the list of workspaces. */
  back?: { href: string; text: string } | undefined;
}

const PROBLEMS: Record<ProblemStatus, { title: string; detail: string }> = {
  400: {
    title: 'That can’t be understood',
    detail: 'The address or the form has something in it that makes no sense here.',
  },
  403: {
    title: 'You may not do that',
    detail: 'Nothing was changed. The form may be too old: reload the page and try again.',
  },
  404: {
    title: 'There is nothing here',
    detail: 'It doesn’t exist, it was removed, or it belongs to a repository that you can’t see on GitHub.',
  },
  405: { title: 'Not in this way', detail: 'This address is there, but not for that method.' },
  409: { title: 'Too late', detail: 'The run has moved on in the meantime. Nothing was changed.' },
  410: { title: 'No longer kept', detail: 'It was here, and was cleared away after its time.' },
  413: { title: 'That is too large', detail: 'No form here is as large as what was sent. Nothing was changed.' },
  429: { title: 'Too many requests', detail: 'Wait a minute, and try again.' },
  500: { title: 'Something went wrong', detail: 'It is in Signalbox’s log. Try again.' },
  503: {
    title: 'GitHub doesn’t answer',
    detail:
      'What you may see is what GitHub says, so nothing is shown until it answers. You stay signed in: try again in a moment.',
  },
};

/** What is wrong, and the way back. */
export function ProblemPage({ page, status, title, detail, back }: ProblemPageProps) {
  const problem = status === 200 ? undefined : PROBLEMS[status];
  const heading = title ?? problem?.title ?? '';
  return (
    <Centered page={page} title={`${heading} · Signalbox`} heading={heading} kicker={problem && String(status)}>
      <p>
        <bdi>{detail ?? problem?.detail}</bdi>
      </p>
      <p>
        <a class="btn" href={back?.href ?? '/'}>
          {back?.text ?? 'All workspaces'}
        </a>
      </p>
    </Centered>
  );
}

export interface SignInPageProps {
  page: PageContext;
  /** A path of ours. */
  returnTo: string;
  /** Why signing in didn't work just now. */
  problem?: string | undefined;
}

export function SignInPage({ page, returnTo, problem }: SignInPageProps) {
  return (
    <Centered page={page} title="Sign in · Signalbox" heading="Sign in to Signalbox" mark>
      {problem && (
        <p class="banner banner-danger" role="alert">
          <Icon name="alert" tone="danger" />
          <bdi>{problem}</bdi>
        </p>
      )}
      <p>You see the runs of the repositories that you can see on GitHub, and may do there what you may do here.</p>
      <p>
        <a class="btn btn-primary btn-wide" href={signInPath(returnTo)}>
          <Icon name="mark-github" /> Sign in with GitHub
        </a>
      </p>
    </Centered>
  );
}

/** Without the App's client id nobody can be known, so nothing is shown. */
export function NoClientIdPage({ page }: { page: PageContext }) {
  return (
    <Centered page={page} title="Not set up · Signalbox" heading="Signing in isn’t set up" mark>
      <p>
        Runs are planned and applied, and reported on GitHub. To show them here, Signalbox has to know who you are: set
        these two from the settings of its GitHub App, and start it again.
      </p>
      <pre class="example">{`GITHUB_CLIENT_ID=…\nGITHUB_CLIENT_SECRET=…`}</pre>
      <p>
        The App’s callback URL is <code>/auth/callback</code> below this server’s address.
      </p>
    </Centered>
  );
}

function Centered({
  page,
  title,
  heading,
  kicker,
  mark,
  children,
}: {
  page: PageContext;
  title: string;
  heading: string;
  kicker?: string | undefined;
  mark?: boolean;
  children?: Child;
}) {
  return (
    <Layout page={page} title={title}>
      <div class="centered">
        {mark && <img src={page.asset('mark.svg')} width="64" height="64" alt="" />}
        {kicker && <p class="kicker">{kicker}</p>}
        <h1>{heading}</h1>
        {children}
      </div>
    </Layout>
  );
}

/** Where a person who isn't signed in is sent from `path`. */
export function signInPath(path: string): string {
  return withQuery('/auth/login', { return_to: path });
}
