/** What tests see of a page that was made: its text and its parts, not its layout. */

/** The text of some HTML, in one line. */
export function textOf(html: string): string {
  return html
    .replaceAll(/<[^>]*>/g, ' ')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&')
    .replaceAll(/\s+/g, ' ')
    .trim();
}

/** The texts of all elements of a name that holds no other of that name. */
export function textsOf(html: string, tag: string): string[] {
  return [...html.matchAll(new RegExp(`<${tag}(?:\\s[^>]*)?>([\\s\\S]*?)</${tag}>`, 'g'))].map(([, inner = '']) =>
    textOf(inner),
  );
}

/** The element with an id, from its beginning to the beginning of the region after it. */
export function part(html: string, from: string, to: string): string {
  const start = html.indexOf(`id="${from}"`);
  const end = html.indexOf(`id="${to}"`, start);
  if (start < 0 || end < 0) throw new Error(`There is no ${from} before ${to}.`);
  return html.slice(start, end);
}

/** A form's address, method and fields, by the button that sends it. */
export function formOf(html: string, button: string): { method: string; action: string; fields: string[] } | undefined {
  for (const [form, attributes = ''] of html.matchAll(/<form([^>]*)>[\s\S]*?<\/form>/g)) {
    if (!textsOf(form, 'button').includes(button)) continue;
    const attribute = (name: string) => new RegExp(`${name}="([^"]*)"`).exec(attributes)?.[1] ?? '';
    const fields = [...form.matchAll(/<(?:input|textarea)[^>]* name="([^"]*)"/g)].map(([, name = '']) => name);
    return { method: attribute('method'), action: attribute('action'), fields };
  }
  return undefined;
}
