/**
 * Makes an element's content what `wanted` has, and keeps what is alike: so focus, selection, what was typed, and what the
 * reader has unfolded stay.
 */
export function morphChildren(element: Node, wanted: Node): void {
  let current = element.firstChild;
  for (let next = wanted.firstChild; next; ) {
    const following: ChildNode | null = next.nextSibling;
    const match = findAlike(current, next);
    if (!match) {
      element.insertBefore(next, current);
    } else {
      while (current && current !== match) {
        const skipped: ChildNode = current;
        current = current.nextSibling;
        skipped.remove();
      }
      current = match.nextSibling;
      morph(match, next);
    }
    next = following;
  }
  while (current) {
    const left: ChildNode = current;
    current = current.nextSibling;
    left.remove();
  }
}

function morph(node: Node, wanted: Node): void {
  if (node.isEqualNode(wanted)) return;
  if (node instanceof Element && wanted instanceof Element) {
    syncAttributes(node, wanted);
    morphChildren(node, wanted);
  } else {
    node.nodeValue = wanted.nodeValue;
  }
}

/** An element that is gone is looked past; one that is only new has no match. */
function findAlike(from: ChildNode | null, wanted: Node): ChildNode | undefined {
  for (let node = from; node; node = node.nextSibling) {
    if (isAlike(node, wanted)) return node;
    if (!(node instanceof Element) || !(wanted instanceof Element)) return undefined;
  }
  return undefined;
}

function isAlike(node: Node, wanted: Node): boolean {
  if (node.nodeName !== wanted.nodeName) return false;
  if (!(node instanceof Element) || !(wanted instanceof Element)) return true;
  return keyOf(node) === keyOf(wanted);
}

function keyOf(element: Element): string {
  return element.id || (element.getAttribute('name') ?? element.getAttribute('data-keep') ?? '');
}

export function syncAttributes(element: Element, wanted: Element): void {
  for (const { name } of [...element.attributes]) {
    if (!wanted.hasAttribute(name) && !(element instanceof HTMLDetailsElement && name === 'open')) {
      element.removeAttribute(name);
    }
  }
  for (const { name, value } of wanted.attributes) {
    if (element instanceof HTMLDetailsElement && name === 'open') continue;
    if (element.getAttribute(name) !== value) element.setAttribute(name, value);
  }
}
