import type { PropsWithChildren } from 'hono/jsx';
import { Code, Foreign } from './foreign.js';
import { Icon } from './icon.js';
import type { PageContext } from './page-context.js';

export interface Crumb {
  text: string;
  href?: string;
  code?: boolean;
}

export interface LayoutProps {
  page: PageContext;
  /** What matters first: a tab shows little of it. */
  title: string;
  /** From the outside in; the last one is this page. */
  crumbs?: Crumb[];
  /** Names of scripts beside the one for times, in assets.ts. */
  scripts?: string[];
}

/** The frame of every page: GitHub's header, what is in it, and the version. */
export function Layout({ page, title, crumbs = [], scripts = [], children }: PropsWithChildren<LayoutProps>) {
  return (
    <html lang="en" data-color-mode="auto" data-light-theme="light" data-dark-theme="dark">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <meta name="referrer" content="same-origin" />
        <title>{title}</title>
        <link rel="stylesheet" href={page.asset('signalbox.css')} />
        <link rel="icon" type="image/svg+xml" href={page.asset('mark.svg')} />
        {['browser/times.js', ...scripts].map((name) => (
          <script type="module" src={page.asset(name)}></script>
        ))}
      </head>
      <body>
        <a class="skip-link" href="#main">
          Skip to content
        </a>
        <Header page={page} crumbs={crumbs} />
        <main id="main" tabindex={-1}>
          {children}
        </main>
        <footer class="site-footer">
          <span>Signalbox {page.version}</span>
          <a href={page.githubUrl}>{new URL(page.githubUrl).host}</a>
        </footer>
      </body>
    </html>
  );
}

function Header({ page, crumbs }: { page: PageContext; crumbs: Crumb[] }) {
  return (
    <header class="site-header">
      <a class="site-mark" href="/">
        <img src={page.asset('mark.svg')} width="28" height="28" alt="" />
        Signalbox
      </a>
      {crumbs.length > 0 && (
        <nav class="crumbs" aria-label="Breadcrumb">
          <ol>
            {crumbs.map((crumb, index) => (
              <li>
                <CrumbLink crumb={crumb} last={index === crumbs.length - 1} />
              </li>
            ))}
          </ol>
        </nav>
      )}
      {page.session && (
        <div class="site-person">
          <Icon name="person" />
          <Foreign text={page.session.login} max={40} />
          <form method="post" action="/auth/sign-out">
            <input type="hidden" name="csrf" value={page.session.csrf} />
            <button type="submit" class="btn btn-sm">
              Sign out
            </button>
          </form>
        </div>
      )}
    </header>
  );
}

function CrumbLink({ crumb, last }: { crumb: Crumb; last: boolean }) {
  const text = crumb.code ? <Code text={crumb.text} max={80} /> : <Foreign text={crumb.text} max={80} />;
  if (crumb.href === undefined) return text;
  return (
    <a href={crumb.href} aria-current={last ? 'page' : undefined}>
      {text}
    </a>
  );
}
