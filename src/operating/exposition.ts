import type { HistogramSample, Labels, Metric } from './metric.js';

/** What Prometheus is told that it gets. */
export const EXPOSITION_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** Metrics in Prometheus' text format. One without samples is left out. */
export function expose(metrics: readonly Metric[]): string {
  return metrics
    .filter(({ samples }) => samples.length > 0)
    .map((metric) => `${[...headOf(metric), ...samplesOf(metric)].join('\n')}\n`)
    .join('');
}

function headOf({ name, help, type }: Metric): string[] {
  return [`# HELP ${name} ${help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}`, `# TYPE ${name} ${type}`];
}

function samplesOf(metric: Metric): string[] {
  const { name } = metric;
  if (metric.type === 'histogram') return metric.samples.flatMap((sample) => histogramOf(name, sample));
  return metric.samples.map(({ labels, value }) => line(name, labels, value));
}

/** A bucket of the format counts everything up to its bound. */
function histogramOf(name: string, { labels, buckets, count, sum }: HistogramSample): string[] {
  let below = 0;
  const lines = buckets.map((bucket) => {
    below += bucket.count;
    return line(`${name}_bucket`, { ...labels, le: numberOf(bucket.le) }, below);
  });
  return [
    ...lines,
    line(`${name}_bucket`, { ...labels, le: '+Inf' }, count),
    line(`${name}_sum`, labels, sum),
    line(`${name}_count`, labels, count),
  ];
}

function line(name: string, labels: Labels = {}, value: number): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`);
  return `${name}${pairs.length > 0 ? `{${pairs.join(',')}}` : ''} ${numberOf(value)}`;
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

function numberOf(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf';
  if (value === Number.NEGATIVE_INFINITY) return '-Inf';
  return String(value);
}
