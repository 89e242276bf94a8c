import { createHmac, randomUUID } from 'node:crypto';
import { request } from 'node:http';

/** What the sender's process is told. */
export interface SendingOrder {
  /** The receiver that is measured, and the one beside it that does nothing. */
  url: string;
  beside: string;
  secret: string;
  perSecond: number;
  seconds: number;
  /** Payloads of pushes; each is sent with another branch. */
  templates: Record<string, unknown>[];
}

export interface SendingReport {
  /** From the first byte sent to the answer, in ms. */
  latencies: number[];
  latenciesBeside: number[];
  /** Status → how often, of the one that is measured. 0: no answer. */
  statuses: Record<string, number>;
  guids: string[];
  /** How much too late the latest of them was sent, in ms. */
  latest: number;
}

interface Signed {
  guid: string;
  body: Buffer;
  headers: Record<string, string | number>;
}

/** Sends at a fixed rate, whether there are answers or not: twice each, to both receivers, half an interval apart. */
async function send(order: SendingOrder): Promise<SendingReport> {
  const events = prepare(order);
  const interval = 1000 / order.perSecond;
  const report: SendingReport = {
    latencies: [],
    latenciesBeside: [],
    statuses: {},
    guids: events.map(({ guid }) => guid),
    latest: 0,
  };
  const answers: Promise<unknown>[] = [];
  const begin = performance.now() + 200;
  for (const [index, event] of events.entries()) {
    const due = begin + index * interval;
    await until(due);
    report.latest = Math.max(report.latest, performance.now() - due);
    answers.push(
      post(order.url, event).then(({ status, took }) => {
        report.latencies.push(took);
        report.statuses[status] = (report.statuses[status] ?? 0) + 1;
      }),
    );
    await until(due + interval / 2);
    answers.push(post(order.beside, event).then(({ took }) => report.latenciesBeside.push(took)));
  }
  await Promise.all(answers);
  return report;
}

function prepare({ secret, perSecond, seconds, templates }: SendingOrder): Signed[] {
  const count = perSecond * seconds;
  return Array.from({ length: count }, (_, index) => {
    const template = templates[index % templates.length] ?? {};
    return sign({ ...template, ref: `refs/heads/topic-${index}` }, secret);
  });
}

function sign(payload: Record<string, unknown>, secret: string): Signed {
  const body = Buffer.from(JSON.stringify(payload));
  const guid = randomUUID();
  const signature = createHmac('sha256', secret).update(body).digest('hex');
  const headers = {
    'content-type': 'application/json',
    'content-length': body.length,
    'user-agent': 'GitHub-Hookshot/bench',
    'x-github-delivery': guid,
    'x-github-event': 'push',
    'x-hub-signature-256': `sha256=${signature}`,
  };
  return { guid, body, headers };
}

function post(url: string, { body, headers }: Signed): Promise<{ status: number; took: number }> {
  const started = performance.now();
  return new Promise((resolve) => {
    const end = (status: number) => resolve({ status, took: performance.now() - started });
    const outgoing = request(url, { method: 'POST', headers, agent: false, timeout: 10_000 }, (response) => {
      response.resume().on('end', () => end(response.statusCode ?? 0));
    });
    outgoing.on('timeout', () => outgoing.destroy());
    outgoing.on('error', () => end(0));
    outgoing.end(body);
  });
}

async function until(due: number): Promise<void> {
  const wait = due - performance.now();
  if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
}

process.once('message', (order: SendingOrder) => {
  void send(order).then((report) => {
    process.send?.(report, () => process.exit());
  });
});
process.once('disconnect', () => process.exit());
