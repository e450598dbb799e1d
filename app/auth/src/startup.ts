/**
 * Start-up: wait for what the service needs while it already answers `live`. Polling is every
 * 50 ms, so that readiness says when the stores came up, not when we looked.
 */

import { setTimeout as sleep } from "node:timers/promises";

import { Problem } from "./http/problems";
import { reason, type Logger } from "./log";

const POLL_MS = 50;

/** Start-up cannot succeed; the message is one sentence for the operator. */
export class StartupError extends Error {
  override readonly name = "StartupError";
}

/** Something that is waited for. */
export interface Need {
  /** In words, such as "database". */
  readonly name: string;
  /** Rejects until it is up. */
  attempt(): Promise<void>;
}

export class Startup {
  readonly #log: Logger;
  readonly #timeout_s: number;
  readonly #stop = new AbortController();
  readonly #missing = new Set<string>();
  #done = false;

  constructor(timeout_s: number, log: Logger) {
    this.#timeout_s = timeout_s;
    this.#log = log.child({ logger: "auth.startup" });
  }

  get done(): boolean {
    return this.#done;
  }

  /** One of the needs that are not up yet. */
  get missing(): string {
    return this.#missing.values().next().value ?? "";
  }

  /** Waits until all is up; says whether it was in time. Being cancelled is no failure. */
  async run(needs: readonly Need[]): Promise<boolean> {
    const started_ms = performance.now();
    for (const { name } of needs) this.#missing.add(name);
    try {
      await Promise.all(needs.map((need) => this.#waitFor(need)));
    } catch (error) {
      if (this.#stop.signal.aborted) return true;
      this.#stop.abort();
      if (error instanceof StartupError) this.#log.error(`start-up failed: ${error.message}`);
      else this.#log.error({ exception: error }, "start-up failed");
      return false;
    }
    this.#done = true;
    const startup_s = Math.round(performance.now() - started_ms) / 1000;
    this.#log.info({ startup_s }, "ready");
    return true;
  }

  /** Stops waiting. */
  cancel(): void {
    this.#stop.abort();
  }

  async #waitFor(need: Need): Promise<void> {
    const { signal } = this.#stop;
    const deadline_ms = performance.now() + this.#timeout_s * 1000;
    for (let waiting = false; ; waiting = true) {
      try {
        await need.attempt();
        signal.throwIfAborted();
        if (waiting) this.#log.info(`the ${need.name} is up`);
        this.#missing.delete(need.name);
        return;
      } catch (error) {
        signal.throwIfAborted();
        const why = reason(error instanceof Problem ? error.cause : error);
        if (performance.now() >= deadline_ms) {
          throw new StartupError(`the ${need.name} not up after ${this.#timeout_s} s: ${why}`);
        }
        if (!waiting) this.#log.info({ reason: why }, `waiting for the ${need.name}`);
      }
      await sleep(POLL_MS, undefined, { signal });
    }
  }
}
