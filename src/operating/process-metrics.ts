import { performance } from 'node:perf_hooks';
import { type Collector, type Metric, single } from './metric.js';

/** What this process knows of itself: no question to anybody. */
export function processMetrics({ version, roles }: { version: string; roles: readonly string[] }): Collector {
  return (): Metric[] => {
    const { user, system } = process.cpuUsage();
    return [
      {
        name: 'signalbox_info',
        type: 'gauge',
        help: 'Always 1: the version, the roles and the Node.js of this process.',
        samples: [{ labels: { version, roles: roles.join(','), node: process.versions.node }, value: 1 }],
      },
      single(
        'gauge',
        'signalbox_start_time_seconds',
        'When this process began, in seconds since 1970.',
        Math.round(performance.timeOrigin) / 1_000,
      ),
      single(
        'counter',
        'signalbox_cpu_seconds_total',
        'Processor time of this process, without its Terraforms.',
        (user + system) / 1e6,
      ),
      single(
        'gauge',
        'signalbox_resident_memory_bytes',
        'Memory of this process, without its Terraforms.',
        process.memoryUsage.rss(),
      ),
      // The delay that perf_hooks can measure needs a timer that wakes an idle process a hundred times a second.
      single(
        'counter',
        'signalbox_event_loop_busy_seconds_total',
        'Time in which the event loop did something: near one second a second, everything here waits.',
        performance.eventLoopUtilization().active / 1_000,
      ),
    ];
  };
}
