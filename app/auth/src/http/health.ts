/** Health and metrics. */

import type { FastifyInstance } from "fastify";

import { within } from "../stores/outage";
import { sendJson } from "./answers";
import type { Metrics } from "./metrics";
import { Problem } from "./problems";

const CHECK_TIMEOUT_MS = 1000;

export const QUIET_ROUTES: ReadonlySet<string> = new Set([
  "/health/live",
  "/health/ready",
  "/metrics",
]);

type State = "up" | "down" | "unknown";

/** What readiness asks: each rejects while it is away. */
export type Checks = Readonly<Record<string, () => Promise<void>>>;

export function healthRoutes(
  app: FastifyInstance,
  isStarted: () => boolean,
  checks: Checks,
  metrics: Metrics,
): void {
  app.get("/health/live", (_request, reply) => sendJson(reply, { status: "live" }));

  app.get("/health/ready", async (_request, reply) => {
    if (!isStarted()) {
      const unknown = Object.keys(checks).map((name) => [name, "unknown"] as const);
      throw notReady("Start-up is not finished.", unknown);
    }
    const states = await Promise.all(
      Object.entries(checks).map(async ([name, check]) => [name, await stateOf(check)] as const),
    );
    if (states.some(([, state]) => state === "down")) {
      throw notReady("A part the service cannot do without does not answer.", states);
    }
    return sendJson(reply.header("cache-control", "no-store"), {
      status: "ready",
      checks: Object.fromEntries(states),
    });
  });

  app.get("/metrics", async (_request, reply) =>
    reply.header("content-type", metrics.contentType).send(await metrics.render()),
  );
}

async function stateOf(check: () => Promise<void>): Promise<State> {
  try {
    await within(CHECK_TIMEOUT_MS, check());
    return "up";
  } catch {
    return "down";
  }
}

function notReady(detail: string, states: readonly (readonly [string, State])[]): Problem {
  return new Problem("not-ready", detail, {
    headers: { "retry-after": "1" },
    members: { checks: Object.fromEntries(states) },
  });
}
