/** The built service as a process, without its stores. */

import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";

import { afterAll, beforeAll, expect, test } from "vitest";

import { newKey } from "./support";

let home: string;
let environment: Record<string, string>;

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), "auth-process-"));
  execFileSync(process.execPath, ["build.mjs", "src/main.ts", join(home, "dist")]);
  writeFileSync(join(home, "password"), "secret");
  writeFileSync(join(home, "key"), newKey());
  const nobody = await freePort();
  environment = {
    DATABASE_HOST: "127.0.0.1",
    DATABASE_PORT: String(nobody),
    DATABASE_PASSWORD_FILE: join(home, "password"),
    VALKEY_URL: `redis://127.0.0.1:${nobody}`,
    JWT_PRIVATE_KEY_FILE: join(home, "key"),
    RELEASE: "r7",
  };
});

afterAll(() => {
  rmSync(home, { recursive: true });
});

interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

interface Started {
  readonly child: ChildProcess;
  readonly base: string;
  /** Resolves once the service has logged this. */
  readonly said: (message: string) => Promise<void>;
  readonly outcome: Promise<Outcome>;
}

async function start(change: Record<string, string>): Promise<Started> {
  const port = await freePort();
  const child = spawn(process.execPath, [join(home, "dist", "main.js")], {
    env: { ...environment, LISTEN_PORT: String(port), ...change },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => (stdout += chunk));
  const outcome = Promise.all([once(child, "close"), text(child.stderr)]).then(
    ([[code], stderr]): Outcome => ({ code: code as number | null, stdout, stderr }),
  );
  const said = async (message: string) => {
    while (!stdout.includes(`"${message}"`)) await once(child.stdout, "data");
  };
  return { child, base: `http://127.0.0.1:${port}`, said, outcome };
}

/** Asks until there is an answer. */
async function get(url: string): Promise<Response> {
  for (;;) {
    try {
      return await fetch(url);
    } catch {
      await sleep(20);
    }
  }
}

test("live at once, waiting for its stores, and stopped with exit code 0", async () => {
  const { base, child, said, outcome } = await start({});
  expect((await get(`${base}/health/live`)).status).toBe(200);
  const ready = await get(`${base}/health/ready`);
  expect(await ready.json()).toMatchObject({
    type: "urn:triptych:problem:not-ready",
    checks: { database: "unknown", session_store: "unknown" },
  });
  expect((await get(`${base}/.well-known/jwks.json`)).status).toBe(200);
  await Promise.all([said("waiting for the database"), said("waiting for the session store")]);
  child.kill("SIGTERM");
  const { code, stdout, stderr } = await outcome;
  expect([code, stderr]).toEqual([0, ""]);
  const lines = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(lines.at(-1)).toMatchObject({ message: "stopping" });
  expect(new Set(lines.map((line) => line.release))).toEqual(new Set(["r7"]));
});

test("gives up after the time it was given", async () => {
  const { outcome } = await start({ STARTUP_TIMEOUT_S: "0.3" });
  const { code, stdout, stderr } = await outcome;
  expect([code, stderr]).toEqual([1, ""]);
  expect(stdout.match(/start-up failed: the [a-z ]+ not up after 0\.3 s: /g)).toHaveLength(1);
  expect(stdout).not.toContain("    at ");
});

test("what Node itself says are records", async () => {
  // Once the service listens to its signals, all else that it listens to is in place.
  const says = `process.on("newListener", (event) => {
    if (event !== "SIGINT") return;
    process.emitWarning("of this");
    setImmediate(() => { void Promise.reject(new Error("that nobody caught")); });
  });`;
  const imported = `data:text/javascript,${encodeURIComponent(says)}`;
  const { outcome } = await start({ NODE_OPTIONS: `--import=${imported}` });
  const { code, stdout, stderr } = await outcome;
  expect([code, stderr]).toEqual([1, ""]);
  const records = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter((record) => record.logger === "node");
  expect(records).toMatchObject([
    { level: "warning", message: "of this" },
    { level: "critical", message: "uncaught exception" },
  ]);
  expect(records[1]?.exception).toContain("Error: that nobody caught");
});

test("a port that is taken is one line", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const { outcome } = await start({ LISTEN_PORT: String(port) });
  const { code, stdout } = await outcome;
  server.close();
  expect(code).toBe(1);
  expect(stdout).toContain("cannot listen: Error: listen EADDRINUSE");
});

test("bad settings are one line each", async () => {
  const { outcome } = await start({ LOG_LEVEL: "LOUD", DATABASE_HOST: "" });
  expect(await outcome).toEqual({
    code: 2,
    stdout: "",
    stderr:
      "auth: LOG_LEVEL: input should be 'DEBUG', 'INFO', 'WARNING' or 'ERROR'\n" +
      "auth: DATABASE_HOST: field required\n",
  });
  const wrongKey = await start({ JWT_PRIVATE_KEY_FILE: "/etc/passwd" });
  expect(await wrongKey.outcome).toMatchObject({
    code: 2,
    stderr: "auth: JWT_PRIVATE_KEY_FILE: not a private key in PEM\n",
  });
});
