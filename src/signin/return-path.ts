/** In characters. It travels in a cookie, and there may be some (see attempt.ts). */
const LONGEST = 500;
/** The parser that browsers share with us takes any other address for one on this host; none is ever sent there. */
const HERE = 'http://here.invalid';

/**
 * Where somebody goes after signing in: a path of ours. Everything else, which could lead to another site or round in
 * circles, becomes `/`.
 */
export function returnPath(wanted: string | undefined): string {
  // Browsers drop tabs and line ends from addresses, and read \ as /: what is checked has to be what they see.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  if (wanted === undefined || wanted.length > LONGEST || /^[^/]|[\u0000-\u0020\u007f\\]/.test(wanted)) return '/';
  if (!URL.canParse(wanted, HERE)) return '/';
  const { origin, pathname, search, hash } = new URL(wanted, HERE);
  // `/.//evil` begins with one slash, and with two once its dots are gone.
  if (origin !== HERE || pathname.startsWith('//') || isAuth(pathname)) return '/';
  const path = pathname + search + hash;
  return path.length > LONGEST ? '/' : path;
}

function isAuth(pathname: string): boolean {
  try {
    return /^\/auth(\/|$)/i.test(decodeURIComponent(pathname));
  } catch {
    return true;
  }
}
