/** Health, metrics, access log. */

import { expect, test } from "vitest";

import { expectProblem, newApp } from "./support";

const never = () => new Promise<void>(() => undefined);

test("live from the first moment on", async () => {
  const { app } = await newApp({ startup: { done: false, missing: "database" } });
  const answer = await app.inject("/health/live");
  expect([answer.statusCode, answer.json()]).toEqual([200, { status: "live" }]);
});

test("ready names what it asked", async () => {
  const { app } = await newApp();
  const answer = await app.inject("/health/ready");
  expect(answer.json()).toEqual({
    status: "ready",
    checks: { database: "up", session_store: "up" },
  });
  expect(answer.headers["cache-control"]).toBe("no-store");
});

test("not ready before start-up is done", async () => {
  const { app } = await newApp({ startup: { done: false, missing: "database" } });
  const answer = await app.inject("/health/ready");
  const problem = expectProblem(answer, 503, "not-ready");
  expect(problem.checks).toEqual({ database: "unknown", session_store: "unknown" });
  expect(answer.headers["retry-after"]).toBe("1");
});

test("not ready while a store is away, or does not answer in time", async () => {
  const { app } = await newApp({
    checks: { database: never, session_store: () => Promise.reject(new Error("away")) },
  });
  const problem = expectProblem(await app.inject("/health/ready"), 503, "not-ready");
  expect(problem.checks).toEqual({ database: "down", session_store: "down" });
});

test("metrics count by route template", async () => {
  const { app } = await newApp();
  await app.inject("/not/there/1");
  await app.inject({ method: "PROPFIND" as "GET", url: "/not/there/2" });
  await app.inject("/api/v1%2fauth/login");
  await app.inject("/health/live");
  const answer = await app.inject("/metrics");
  expect(answer.headers["content-type"]).toMatch(/^text\/plain; version=/);
  for (const line of [
    'http_requests_total{method="GET",route="unmatched",status="404"} 1',
    'http_requests_total{method="other",route="unmatched",status="404"} 1',
    'http_requests_total{method="GET",route="/api/v1/auth/login",status="405"} 1',
    'http_request_duration_seconds_count{method="GET",route="/health/live"} 1',
    'http_request_duration_seconds_bucket{le="+Inf",method="GET",route="/health/live"} 1',
  ]) {
    expect(answer.body.split("\n")).toContain(line);
  }
  expect(answer.body).not.toContain("/not/there");
  expect(answer.body).toMatch(/^process_resident_memory_bytes [1-9]\d{6,}$/m);
  expect(answer.body).toMatch(/^process_cpu_seconds_total 0?\.?\d/m);
});

test("the access log has one line per request, health quietly", async () => {
  const { app, lines } = await newApp();
  await app.inject({
    url: "/api/v1/auth/%6Cogin?password=secret",
    headers: { "x-request-id": "trace-2" },
  });
  await app.inject("/health/live");
  const accesses = lines.filter((line) => line.logger === "auth.access");
  expect(accesses).toEqual([
    {
      level: "info",
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/) as string,
      release: "r1",
      logger: "auth.access",
      request_id: "trace-2",
      method: "GET",
      path: "/api/v1/auth/login",
      route: "/api/v1/auth/login",
      status: 405,
      duration_ms: expect.any(Number) as number,
      message: "request",
    },
    expect.objectContaining({ level: "debug", route: "/health/live", status: 200 }),
  ]);
});
