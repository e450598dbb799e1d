/** Metrics for Prometheus, labelled by route template so that paths cannot multiply series. */

import { Counter, Gauge, Histogram, Registry } from "prom-client";

const BUCKETS_S = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

export interface AnsweredRequest {
  readonly method: string;
  readonly route: string;
  readonly status: number;
  readonly duration_ms: number;
}

/** The service's own registry: what it answered, and what the process takes. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #requests = new Counter({
    name: "http_requests_total",
    help: "Requests answered.",
    labelNames: ["method", "route", "status"],
    registers: [this.#registry],
  });
  readonly #duration = new Histogram({
    name: "http_request_duration_seconds",
    help: "Time from the request's headers to the response's last byte.",
    labelNames: ["method", "route"],
    buckets: BUCKETS_S,
    registers: [this.#registry],
  });

  constructor() {
    // The library's default metrics would keep a timer going every 10 ms: an idle service is idle.
    this.#process("process_resident_memory_bytes", "Resident memory size in bytes.", () =>
      process.memoryUsage.rss(),
    );
    this.#process("process_cpu_seconds_total", "User and system CPU time in seconds.", () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    });
    this.#process("process_start_time_seconds", "Start time since the epoch in seconds.", () =>
      Math.round(Date.now() / 1000 - process.uptime()),
    );
    this.#process(
      "nodejs_heap_size_used_bytes",
      "V8 heap in use in bytes.",
      () => process.memoryUsage().heapUsed,
    );
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Counts and times one request. */
  observe({ method, route, status, duration_ms }: AnsweredRequest): void {
    this.#requests.inc({ method, route, status });
    this.#duration.observe({ method, route }, duration_ms / 1000);
  }

  /** Returns everything in Prometheus's text format. */
  render(): Promise<string> {
    return this.#registry.metrics();
  }

  #process(name: string, help: string, read: () => number): void {
    new Gauge({
      name,
      help,
      registers: [this.#registry],
      collect() {
        this.set(read());
      },
    });
  }
}
