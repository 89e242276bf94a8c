import type { IQueueBackend, Processor, Queue, Worker } from 'bullmq';
import type { StageJob } from './outbox.js';

export type JobQueue = Queue<StageJob, void, string, StageJob, void, string, IQueueBackend, unknown>;
export type JobWorker = Worker<StageJob, void, string, IQueueBackend, never, unknown>;

/**
 * Where BullMQ keeps its queues. All queues of a process share its connections: their number is fixed, however many
 * workspaces there are. Every command fails after a bounded time when the server is away.
 */
export interface QueueBackend {
  readonly kind: 'redis' | 'postgres';
  /** Opening a queue opens nothing: it needs no closing, and may be forgotten. */
  queue(name: string): JobQueue;
  /** A Worker to fetch jobs with, by hand and without waiting. It opens nothing either. */
  fetcher(name: string): JobWorker;
  /** A Worker that waits for jobs on connections of its own, and reconnects for as long as it isn't closed. */
  worker(name: string, process: Processor<StageJob, void, string>, concurrency: number): Promise<JobWorker>;
  /** Lets the server forget in time what BullMQ keeps of a queue that nobody uses any more. */
  ageOut(queue: JobQueue): void;
  /** Rejects within two seconds if the server doesn't answer. */
  ping(): Promise<void>;
  close(): Promise<void>;
}

/** How long a job's lock lasts without being renewed, in ms. Nothing is decided by it. */
export const LOCK_MS = 30_000;

/** Events that BullMQ keeps for each queue, about. Nobody reads them. */
export const EVENTS_KEPT = 10;

/** How long a queue that nobody uses is remembered, in seconds. */
export const AGE_SECONDS = 24 * 3600;

/** Rejects when `promise` hasn't settled after `ms`. */
export async function within<T>(ms: number, what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} didn't answer within ${ms / 1000} s.`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
