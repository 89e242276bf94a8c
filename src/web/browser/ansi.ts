/** How text is written from here on, and what isn't decided yet. Plain data, so that it can go from server to browser. */
export interface AnsiState {
  /** Of 16, as terminals number them. */
  foreground?: number;
  background?: number;
  bold?: boolean;
  dim?: boolean;
  italic?: boolean;
  underline?: boolean;
  /** The beginning of a control sequence whose rest hasn't come. */
  held?: string;
  /** The last character was a carriage return, shown as a line's end: a line feed after it is no second one. */
  returned?: boolean;
}

export interface Span {
  /** Without control sequences; ends at the latest with a line feed. */
  text: string;
  /** CSS classes, separated by spaces; '' for plain text. */
  classes: string;
}

const ESCAPE = '\u001b';
const SEQUENCE = new RegExp(
  `${ESCAPE}\\[([0-?]*)[ -/]*([@-~])|${ESCAPE}\\][^\\u0007${ESCAPE}]*(?:\\u0007|${ESCAPE}\\\\)?|${ESCAPE}[ -/]*[0-~]?`,
  'g',
);
const BEGUN = new RegExp(`${ESCAPE}(?:\\[[0-?]*[ -/]*|\\][^\\u0007${ESCAPE}]*|[ -/]*)$`);
const LONGEST_HELD = 4_096;

const NAMES = ['black', 'red', 'green', 'yellow', 'blue', 'magenta', 'cyan', 'white'];

/**
 * A piece of a terminal's text as spans of one look each. Sequences that don't colour are removed; colours of 256 and of 16
 * million become the nearest of 16. A carriage return ends a line, so that nothing is written over.
 */
export function parseAnsi(piece: string, before: AnsiState = {}): { spans: Span[]; state: AnsiState } {
  const { held = '', ...rest } = before;
  const text = held + piece;
  const begun = BEGUN.exec(text.slice(text.lastIndexOf(ESCAPE)))?.[0] ?? '';
  const kept = begun.length <= LONGEST_HELD ? begun : '';
  const state: AnsiState = rest;
  const spans: Span[] = [];
  let at = 0;
  const end = text.length - kept.length;
  const emit = (upTo: number) => {
    if (upTo > at) addLines(spans, text.slice(at, upTo), state);
  };
  for (const match of text.slice(0, end).matchAll(SEQUENCE)) {
    emit(match.index);
    at = match.index + match[0].length;
    if (match[2] === 'm') applyColours(state, match[1] ?? '');
  }
  emit(end);
  if (kept !== '') state.held = kept;
  return { spans, state };
}

function addLines(spans: Span[], text: string, state: AnsiState): void {
  const continues = state.returned && text.startsWith('\n');
  const lines = (continues ? text.slice(1) : text).replace(/\r\n?/g, '\n');
  if (text.endsWith('\r')) state.returned = true;
  else delete state.returned;
  const classes = classesOf(state);
  for (let start = 0; start < lines.length; ) {
    const feed = lines.indexOf('\n', start);
    const stop = feed < 0 ? lines.length : feed + 1;
    spans.push({ text: lines.slice(start, stop), classes });
    start = stop;
  }
}

function classesOf({ foreground, background, bold, dim, italic, underline }: AnsiState): string {
  const classes: string[] = [];
  if (bold) classes.push('ansi-bold');
  if (dim) classes.push('ansi-dim');
  if (italic) classes.push('ansi-italic');
  if (underline) classes.push('ansi-underline');
  if (foreground !== undefined) classes.push(`ansi-fg-${nameOf(foreground)}`);
  if (background !== undefined) classes.push(`ansi-bg-${nameOf(background)}`);
  return classes.join(' ');
}

function nameOf(colour: number): string {
  return `${NAMES[colour % 8]}${colour >= 8 ? '-bright' : ''}`;
}

function applyColours(state: AnsiState, parameters: string): void {
  // Anything but numbers is private to some terminal.
  if (!/^[\d;:]*$/.test(parameters)) return;
  const codes = parameters.split(/[;:]/).map(Number);
  for (let at = 0; at < codes.length; at++) {
    const code = codes[at] ?? 0;
    if (code === 38 || code === 48) {
      const { colour, used } = extended(codes.slice(at + 1));
      at += used;
      if (colour !== undefined) state[code === 38 ? 'foreground' : 'background'] = colour;
    } else {
      applyColour(state, code);
    }
  }
}

function applyColour(state: AnsiState, code: number): void {
  if (code === 0)
    for (const key of ['foreground', 'background', 'bold', 'dim', 'italic', 'underline'] as const) delete state[key];
  else if (code === 1) state.bold = true;
  else if (code === 2) state.dim = true;
  else if (code === 3) state.italic = true;
  else if (code === 4) state.underline = true;
  else if (code === 22) {
    delete state.bold;
    delete state.dim;
  } else if (code === 23) delete state.italic;
  else if (code === 24) delete state.underline;
  else if (code === 39) delete state.foreground;
  else if (code === 49) delete state.background;
  else if (code >= 30 && code <= 37) state.foreground = code - 30;
  else if (code >= 90 && code <= 97) state.foreground = code - 90 + 8;
  else if (code >= 40 && code <= 47) state.background = code - 40;
  else if (code >= 100 && code <= 107) state.background = code - 100 + 8;
}

/** What follows 38 or 48: `5;n` or `2;r;g;b`. */
function extended([kind, ...values]: number[]): { colour?: number; used: number } {
  if (kind === 5) {
    const [number = 0] = values;
    return number <= 255 ? { colour: number < 16 ? number : nearest(cube(number)), used: 2 } : { used: 2 };
  }
  if (kind === 2) {
    const [red = 0, green = 0, blue = 0] = values;
    return { colour: nearest([red, green, blue]), used: 4 };
  }
  return { used: 1 };
}

type Rgb = [red: number, green: number, blue: number];

function cube(number: number): Rgb {
  if (number >= 232) {
    const grey = 8 + (number - 232) * 10;
    return [grey, grey, grey];
  }
  const level = (step: number) => (step === 0 ? 0 : 55 + step * 40);
  const index = number - 16;
  return [level(Math.floor(index / 36)), level(Math.floor(index / 6) % 6), level(index % 6)];
}

/** As xterm has them. */
const PALETTE: Rgb[] = [
  [0, 0, 0],
  [205, 0, 0],
  [0, 205, 0],
  [205, 205, 0],
  [0, 0, 238],
  [205, 0, 205],
  [0, 205, 205],
  [229, 229, 229],
  [127, 127, 127],
  [255, 0, 0],
  [0, 255, 0],
  [255, 255, 0],
  [92, 92, 255],
  [255, 0, 255],
  [0, 255, 255],
  [255, 255, 255],
];

function nearest(colour: Rgb): number {
  const distance = (other: Rgb) => other.reduce((sum, value, at) => sum + (value - (colour[at] ?? 0)) ** 2, 0);
  return PALETTE.reduce((best, other, at) => (distance(other) < distance(PALETTE[best] ?? other) ? at : best), 0);
}
