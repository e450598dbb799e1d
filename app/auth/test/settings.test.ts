import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, beforeAll, expect, test } from "vitest";

import { readSettings, SettingsError } from "../src/settings";

let home: string;
let environment: Record<string, string>;

beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), "auth-settings-"));
  const secret = (name: string, content: string | Buffer) => {
    writeFileSync(join(home, name), content);
    return join(home, name);
  };
  secret("empty", " \n");
  secret("latin1", Buffer.from([0xff]));
  environment = {
    DATABASE_HOST: "postgres",
    DATABASE_PASSWORD_FILE: secret("password", " pass word\n"),
    VALKEY_URL: "redis://valkey:6379/1",
    JWT_PRIVATE_KEY_FILE: secret("jwt", "pem"),
  };
});

afterAll(() => {
  rmSync(home, { recursive: true });
});

function faultsOf(change: Record<string, string | undefined>): readonly string[] {
  try {
    readSettings({ ...environment, ...change });
  } catch (error) {
    if (error instanceof SettingsError) return error.lines;
    throw error;
  }
  return [];
}

test("defaults and secrets", () => {
  expect(readSettings(environment)).toMatchObject({
    listenHost: "127.0.0.1",
    listenPort: 8001,
    logLevel: "INFO",
    databasePort: 5432,
    databasePassword: "pass word",
    databasePoolSize: 2,
    databaseTimeout_s: 1,
    valkeyTimeout_s: 1,
    jwtIssuer: "triptych",
    accessTokenTtl_s: 900,
    refreshTokenTtl_s: 1_209_600,
    startupTimeout_s: 600,
    shutdownGrace_s: 10,
  });
});

test("empty variables count as unset", () => {
  expect(readSettings({ ...environment, LISTEN_PORT: "" }).listenPort).toBe(8001);
});

test("fractions of seconds are understood", () => {
  expect(readSettings({ ...environment, STARTUP_TIMEOUT_S: "0.3" }).startupTimeout_s).toBe(0.3);
});

test.each([
  [{ DATABASE_PORT: "x" }, "DATABASE_PORT: input should be a valid integer"],
  [{ DATABASE_PORT: "0x10" }, "DATABASE_PORT: input should be a valid integer"],
  [{ LISTEN_PORT: "70000" }, "LISTEN_PORT: input should be less than or equal to 65535"],
  [{ LISTEN_PORT: "-1" }, "LISTEN_PORT: input should be greater than or equal to 1"],
  [{ VALKEY_URL: "ftp://x" }, "VALKEY_URL: string should match pattern '^rediss?:"],
  [{ VALKEY_URL: undefined }, "VALKEY_URL: field required"],
  [{ DATABASE_TIMEOUT_S: "0" }, "DATABASE_TIMEOUT_S: input should be greater than 0"],
  [{ DATABASE_TIMEOUT_S: "1e3" }, "DATABASE_TIMEOUT_S: input should be a valid number"],
  [{ LOG_LEVEL: "LOUD" }, "LOG_LEVEL: input should be 'DEBUG', 'INFO', 'WARNING' or 'ERROR'"],
  [{ DATABASE_PASSWORD_FILE: "" }, "DATABASE_PASSWORD_FILE: not set; it names the file"],
  [
    { JWT_PRIVATE_KEY_FILE: "/nonexistent" },
    "JWT_PRIVATE_KEY_FILE: cannot read /nonexistent: no such file or directory",
  ],
])("%j is one line", (change, line) => {
  const faults = faultsOf(change);
  expect(faults).toHaveLength(1);
  expect(faults[0]?.startsWith(line)).toBe(true);
});

test("secrets have to be text", () => {
  expect(faultsOf({ DATABASE_PASSWORD_FILE: join(home, "empty") })).toEqual([
    `DATABASE_PASSWORD_FILE: ${home}/empty is empty`,
  ]);
  expect(faultsOf({ DATABASE_PASSWORD_FILE: join(home, "latin1") })).toEqual([
    `DATABASE_PASSWORD_FILE: cannot read ${home}/latin1: not UTF-8 text`,
  ]);
});

test("every fault is named once", () => {
  const lines = faultsOf({ DATABASE_HOST: "", LISTEN_PORT: "no", JWT_PRIVATE_KEY_FILE: "/none" });
  expect(lines.map((line) => line.split(":")[0])).toEqual([
    "LISTEN_PORT",
    "DATABASE_HOST",
    "JWT_PRIVATE_KEY_FILE",
  ]);
});
