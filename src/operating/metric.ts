/** Base units only: seconds, bytes, or a count. */
export type MetricName = `signalbox_${string}`;

export type Labels = Readonly<Record<string, string>>;

export interface Sample {
  labels?: Labels;
  value: number;
}

export interface HistogramSample {
  labels?: Labels;
  /** What was observed, by the upper bound of its bucket; each counts in one bucket only. The rest counts in `count`. */
  buckets: readonly { le: number; count: number }[];
  count: number;
  sum: number;
}

/** One metric, with all that is known of it: a name belongs to one of them. */
export type Metric = { name: MetricName; help: string } & (
  | { type: 'gauge' | 'counter'; samples: readonly Sample[] }
  | { type: 'histogram'; samples: readonly HistogramSample[] }
);

/** Where metrics come from. Asked at each scrape; what it can't say then, it leaves out. */
export type Collector = () => Metric[] | Promise<Metric[]>;

/** A metric of one sample, without labels. */
export function single(type: 'gauge' | 'counter', name: MetricName, help: string, value: number): Metric {
  return { type, name, help, samples: [{ value }] };
}
