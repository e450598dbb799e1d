/** Calls to a store: one deadline, at most two tries, an outage as one kind of problem. */

import { setTimeout as sleep } from "node:timers/promises";

import { dependencyUnavailable } from "../http/problems";

const PAUSE_MS = 50;

/** A call took longer than it may. */
export class DeadlineError extends Error {
  override readonly name = "DeadlineError";
}

/**
 * Rejects with a DeadlineError if the promise has not settled in time. An answer that is there by
 * then counts, even if this process, short of CPU, has not come to read it yet.
 */
export async function within<Value>(timeout_ms: number, promise: Promise<Value>): Promise<Value> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      // After the event loop has read what has arrived.
      setImmediate(() => {
        reject(new DeadlineError(`no answer within ${Math.round(timeout_ms)} ms`));
      });
    }, timeout_ms);
  });
  try {
    return await Promise.race([promise, deadline]);
  } finally {
    clearTimeout(timer);
  }
}

/** A store as its calls see it. */
export interface Store {
  /** What the 503 problem calls it. */
  readonly dependency: string;
  readonly timeout_ms: number;
  /** Says whether an error means that the store is away, rather than that we are wrong. */
  isOutage(error: unknown): boolean;
}

/**
 * Makes a call to a store. One that is `repeatable`, as it changes nothing or the same thing, is
 * tried again once: that replaces a connection which died unnoticed, or outlasts a restart.
 */
export async function call<Value>(
  store: Store,
  repeatable: boolean,
  attempt: () => Promise<Value>,
): Promise<Value> {
  const started_ms = performance.now();
  const left_ms = () => store.timeout_ms - (performance.now() - started_ms);
  const isOutage = (error: unknown) => error instanceof DeadlineError || store.isOutage(error);
  try {
    try {
      return await within(left_ms(), attempt());
    } catch (error) {
      if (!repeatable || !isOutage(error) || left_ms() <= PAUSE_MS) throw error;
    }
    await sleep(PAUSE_MS);
    return await within(left_ms(), attempt());
  } catch (error) {
    throw isOutage(error) ? dependencyUnavailable(store.dependency, error) : error;
  }
}
