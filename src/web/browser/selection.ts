/** Changes the nodes of an element, but not its text: what the reader has selected of it stays selected. */
export function keepingSelection(element: HTMLElement, change: () => void): void {
  const selection = document.getSelection();
  const ends = selection && [
    endOf(element, selection.anchorNode, selection.anchorOffset),
    endOf(element, selection.focusNode, selection.focusOffset),
  ];
  change();
  if (!selection || !ends?.some((end) => end?.inside)) return;
  const [anchor, focus] = ends.map((end) => end && (end.inside ? placeAt(element, end.offset) : end));
  if (anchor && focus) selection.setBaseAndExtent(anchor.node, anchor.offset, focus.node, focus.offset);
}

/** The browser would add a line's end between two blocks. */
export function copyExactly(event: ClipboardEvent, log: HTMLElement): void {
  const selection = document.getSelection();
  if (selection?.rangeCount !== 1 || !event.clipboardData) return;
  const range = selection.getRangeAt(0);
  if (range.collapsed || !log.contains(range.commonAncestorContainer)) return;
  event.clipboardData.setData('text/plain', range.cloneContents().textContent ?? '');
  event.preventDefault();
}

interface End {
  node: Node;
  /** In the node; when it is inside the element that changes, in the element's text. */
  offset: number;
  inside: boolean;
}

function endOf(element: HTMLElement, node: Node | null, offset: number): End | undefined {
  if (!node) return undefined;
  if (!element.contains(node)) return { node, offset, inside: false };
  const before = document.createRange();
  before.setStart(element, 0);
  before.setEnd(node, offset);
  return { node, offset: before.toString().length, inside: true };
}

function placeAt(element: HTMLElement, offset: number): { node: Node; offset: number } {
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  let left = offset;
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const { length } = node.nodeValue ?? '';
    if (left <= length) return { node, offset: left };
    left -= length;
  }
  return { node: element, offset: element.childNodes.length };
}
