import type { Child, PropsWithChildren } from 'hono/jsx';
import { Icon, type IconName } from './icon.js';
import type { PageContext } from './page-context.js';

/** Small parts that several pages have. */

/** A form that changes something: it carries the session's token against forgery. */
export function ActionForm({
  page,
  action,
  name,
  children,
}: PropsWithChildren<{ page: PageContext; action: string; name?: string }>) {
  return (
    <form method="post" action={action} class={name}>
      <input type="hidden" name="csrf" value={page.session?.csrf ?? ''} />
      {children}
    </form>
  );
}

/** What an action did, or why it was too late. */
export interface Notice {
  tone: 'success' | 'attention' | 'danger';
  text: string;
}

export function NoticeBanner({ notice }: { notice: Notice | undefined }) {
  if (!notice) return null;
  return (
    <Banner tone={notice.tone} icon={notice.tone === 'success' ? 'check' : 'alert'}>
      <p>
        <bdi>{notice.text}</bdi>
      </p>
    </Banner>
  );
}

export function Banner({
  tone,
  icon,
  action,
  children,
}: PropsWithChildren<{
  tone: 'accent' | 'attention' | 'danger' | 'success';
  icon: IconName;
  /** A form, at its end. */
  action?: Child;
}>) {
  return (
    <div class={`banner banner-${tone}`}>
      <Icon name={icon} tone={tone} />
      <div class="banner-text">{children}</div>
      {action}
    </div>
  );
}

/** Where there is nothing: what it would be, and what to do first. */
export function Blank({ icon, title, children }: PropsWithChildren<{ icon: IconName; title: Child }>) {
  return (
    <div class="blank">
      <Icon name={icon} tone="muted" />
      <h2>{title}</h2>
      {children}
    </div>
  );
}
