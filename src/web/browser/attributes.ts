/** A large plan's attributes are fetched when somebody unfolds their resource; the link stays where that fails. */
export function fetchAttributes(): void {
  // 'toggle' doesn't bubble.
  document.addEventListener('toggle', (event) => void show(event.target as Element), { capture: true });
}

async function show(details: Element): Promise<void> {
  const link = details.querySelector<HTMLAnchorElement>(':scope > p > a[data-attributes]');
  if (!link || !details.hasAttribute('open')) return;
  const answer = await fetch(link.href).catch(() => undefined);
  if (!answer?.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
  const attributes = page.getElementById('attributes');
  if (attributes) link.parentElement?.replaceWith(...attributes.childNodes);
}
