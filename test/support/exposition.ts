/** One sample of Prometheus' text format. */
export interface ParsedSample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

export interface ParsedFamily {
  type: string;
  help: string;
  samples: ParsedSample[];
}

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const HELP = new RegExp(`^# HELP (${NAME}) ((?:[^\\\\\\n]|\\\\\\\\|\\\\n)*)$`);
const TYPE = new RegExp(`^# TYPE (${NAME}) (counter|gauge|histogram|summary|untyped)$`);
const SAMPLE = new RegExp(`^(${NAME})(?:\\{(.*)\\})? (\\S+)$`, 's');
const LABEL = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(,|$)/;

/**
 * Reads Prometheus' text format, version 0.0.4, more strictly than Prometheus does: each family has its HELP and TYPE, in
 * one piece, no series twice, and what a histogram says adds up. Throws what is wrong, with the line.
 */
export function parseExposition(text: string): Map<string, ParsedFamily> {
  if (!text.endsWith('\n')) throw new Error('The last line has no end.');
  const families = new Map<string, ParsedFamily>();
  const series = new Set<string>();
  let help: { name: string; text: string } | undefined;
  let current: (ParsedFamily & { name: string }) | undefined;
  for (const line of text.slice(0, -1).split('\n')) {
    const fail = (why: string) => new Error(`${why}: ${line}`);
    if (line.startsWith('# HELP')) {
      const [, name = '', said = ''] = HELP.exec(line) ?? [];
      if (name === '') throw fail('A malformed HELP');
      if (families.has(name)) throw fail('A family that comes twice');
      help = { name, text: said };
    } else if (line.startsWith('# TYPE')) {
      const [, name = '', type = ''] = TYPE.exec(line) ?? [];
      if (name === '' || help?.name !== name) throw fail('A malformed TYPE, or one without its HELP');
      current = { name, type, help: help.text, samples: [] };
      families.set(name, current);
    } else {
      const sample = parseSample(line);
      if (!sample) throw fail('A malformed sample');
      if (!current || !belongs(sample.name, current)) throw fail('A sample outside its family');
      const key = JSON.stringify([sample.name, Object.entries(sample.labels).sort()]);
      if (series.has(key)) throw fail('A series that comes twice');
      series.add(key);
      current.samples.push(sample);
    }
  }
  for (const [name, family] of families) if (family.type === 'histogram') checkHistogram(name, family);
  return families;
}

/** The value of one series; undefined where there is none. */
export function seriesValue(text: string, name: string, labels: Record<string, string> = {}): number | undefined {
  const wanted = Object.entries(labels);
  for (const { samples } of parseExposition(text).values()) {
    const found = samples.find((sample) => {
      return sample.name === name && wanted.every(([label, value]) => sample.labels[label] === value);
    });
    if (found) return found.value;
  }
  return undefined;
}

function parseSample(line: string): ParsedSample | undefined {
  const [, name, pairs, number] = SAMPLE.exec(line) ?? [];
  if (name === undefined || number === undefined || !/^([+-]Inf|NaN|[+-]?\d+(\.\d+)?(e[+-]?\d+)?)$/.test(number))
    return undefined;
  const labels: Record<string, string> = {};
  for (let rest = pairs ?? ''; rest !== ''; ) {
    const [whole, label, value] = LABEL.exec(rest) ?? [];
    if (whole === undefined || label === undefined || value === undefined || label in labels) return undefined;
    labels[label] = value.replace(/\\(.)/g, (_, escaped) => (escaped === 'n' ? '\n' : escaped));
    rest = rest.slice(whole.length);
  }
  return { name, labels, value: Number(number.replace('Inf', 'Infinity')) };
}

function belongs(sample: string, { name, type }: { name: string; type: string }): boolean {
  if (type !== 'histogram') return sample === name;
  return ['_bucket', '_sum', '_count'].some((suffix) => sample === name + suffix);
}

function checkHistogram(name: string, { samples }: ParsedFamily): void {
  const groups = new Map<string, ParsedSample[]>();
  for (const sample of samples) {
    const { le: _, ...labels } = sample.labels;
    const key = JSON.stringify(labels);
    groups.set(key, [...(groups.get(key) ?? []), sample]);
  }
  for (const [labels, group] of groups) {
    const buckets = group.filter((sample) => sample.name === `${name}_bucket`);
    const counts = buckets.map(({ value }) => value);
    const bounds = buckets.map((bucket) => Number(bucket.labels.le?.replace('Inf', 'Infinity')));
    const ascending = (values: number[]) =>
      values.every((value, index) => index === 0 || value >= (values[index - 1] ?? 0));
    const count = group.find((sample) => sample.name === `${name}_count`)?.value;
    const sum = group.find((sample) => sample.name === `${name}_sum`)?.value;
    if (
      !ascending(counts) ||
      !ascending(bounds) ||
      bounds.at(-1) !== Infinity ||
      counts.at(-1) !== count ||
      sum === undefined
    )
      throw new Error(`The histogram ${name} ${labels} doesn't add up.`);
  }
}
