import type { Notice } from '../pages/parts.js';

/** What a page says after a form of it was sent. The address names it, so it is one of these and nothing else. */
const NOTICES: Readonly<Record<string, Notice>> = {
  confirm: { tone: 'success', text: 'You confirmed this plan.' },
  discard: { tone: 'success', text: 'You discarded this run. Nothing was changed.' },
  cancel: { tone: 'success', text: 'You asked to cancel this run.' },
  'force-cancel': { tone: 'attention', text: 'You forced the cancel: Terraform is being killed.' },
  comment: { tone: 'success', text: 'Your comment is in the timeline.' },
  'queue-plan': { tone: 'success', text: 'You queued this run.' },
  lock: { tone: 'success', text: 'You locked this workspace: its runs wait.' },
  unlock: { tone: 'success', text: 'You unlocked this workspace.' },
};

export function noticeOf(name: string | undefined): Notice | undefined {
  return name !== undefined && Object.hasOwn(NOTICES, name) ? NOTICES[name] : undefined;
}
