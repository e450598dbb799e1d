/** Against real stores: the ones that the service's own variables name (`make test-stores`). */

import { createHash, randomUUID } from "node:crypto";

import { Redis } from "ioredis";
import { Client } from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";

import { Accounts, ADD } from "../../src/accounts/repository";
import { LoginBrake, Sessions } from "../../src/accounts/sessions";
import { readSettings } from "../../src/settings";
import { Database } from "../../src/stores/database";
import { MIGRATIONS } from "../../src/stores/migrations";
import { Valkey } from "../../src/stores/valkey";
import { keptLog } from "../support";

const settings = readSettings(process.env);
const databaseName = `auth_test_${randomUUID().replaceAll("-", "")}`;
const { log, lines } = keptLog();
const database = new Database({ ...settings, databaseName }, log);
const valkey = new Valkey(settings, log);
const inspector = new Redis(settings.valkeyUrl);

async function onServer<Row extends object>(statement: string, name: string): Promise<Row[]> {
  const client = new Client({
    host: settings.databaseHost,
    port: settings.databasePort,
    user: settings.databaseUser,
    password: settings.databasePassword,
    database: name,
  });
  await client.connect();
  try {
    return (await client.query<Row>(statement)).rows;
  } finally {
    await client.end();
  }
}

beforeAll(async () => {
  await onServer(`CREATE DATABASE ${databaseName}`, "postgres");
});

afterAll(async () => {
  await database.close();
  await onServer(`DROP DATABASE ${databaseName} WITH (FORCE)`, "postgres");
  valkey.close();
  inspector.disconnect();
});

test("several at once migrate an empty database once, and later ones find nothing to do", async () => {
  await Promise.all(Array.from({ length: 5 }, () => database.prepare()));
  await database.prepare();
  const versions = await onServer<{ version: number }>(
    "SELECT version FROM auth.migrations ORDER BY version",
    databaseName,
  );
  expect(versions.map(({ version }) => version)).toEqual(MIGRATIONS.map((_, index) => index + 1));
  expect(lines.filter((line) => line.message === "schema migrated")).toHaveLength(
    MIGRATIONS.length,
  );
});

test("accounts are stored once per address", async () => {
  const accounts = new Accounts(database);
  const email = `${"\u0130".repeat(120).toLowerCase()}@example.test`;
  const all = await Promise.all(
    Array.from({ length: 8 }, (_, index) => accounts.add(email, "Ada", `hash ${index}`)),
  );
  const stored = all.filter((user) => user !== undefined);
  expect(stored).toEqual([
    {
      id: expect.any(String) as string,
      email,
      name: "Ada",
      createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/) as string,
    },
  ]);
  expect(Math.abs(Date.parse(stored[0]?.createdAt ?? "") - Date.now())).toBeLessThan(600_000);
  expect(await accounts.findLogin(email)).toEqual({
    id: stored[0]?.id,
    passwordHash: `hash ${all.findIndex((user) => user !== undefined)}`,
  });
  expect(await accounts.findLogin("nobody@example.test")).toBeUndefined();
});

test("storing an account may be repeated, as when the answer was lost", async () => {
  const values = ["0f6b3f0e-3c1c-4f6e-9a53-5e0c7c3f6a51", "again@example.test", "A", "h"];
  const [first] = await database.query(ADD, values);
  const [again] = await database.query(ADD, values);
  expect(again).toEqual(first);
  expect(first).toBeDefined();
});

test("a connection that the server ends is replaced unnoticed", async () => {
  await database.ping();
  await onServer(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname = '${databaseName}' AND pid <> pg_backend_pid()`,
    databaseName,
  );
  await database.ping();
});

test("a session is redeemed once, and holds no token in clear", async () => {
  const sessions = new Sessions(valkey, 60);
  const token = await sessions.open("user-1");
  expect(token).toMatch(/^[A-Za-z0-9_-]{43}$/);
  expect(await inspector.exists(`session:${token}`)).toBe(0);
  expect(await sessions.redeem(token)).toBe("user-1");
  expect(await sessions.redeem(token)).toBeUndefined();
});

test("a session ends by itself, or by logging out", async () => {
  const sessions = new Sessions(valkey, 60);
  const token = await sessions.open("user-2");
  const key = `session:${createHash("sha256").update(token).digest("hex")}`;
  const left_s = await inspector.ttl(key);
  expect(left_s).toBeGreaterThan(30);
  expect(left_s).toBeLessThanOrEqual(60);
  await sessions.close(token);
  await sessions.close(token);
  expect(await sessions.redeem(token)).toBeUndefined();
});

test("the brake holds after ten failures, for what is left of the first one's minute", async () => {
  const brake = new LoginBrake(valkey);
  const email = `${randomUUID()}@example.test`;
  for (let count = 0; count < 10; count += 1) {
    await brake.check(email);
    await brake.countFailure(email);
  }
  const braked: unknown = await brake.check(email).catch((error: unknown) => error);
  expect(braked).toMatchObject({
    type: "too-many-attempts",
    headers: { "retry-after": expect.stringMatching(/^([1-9]|[1-5]\d|60)$/) as string },
  });
  await brake.check(`other-${email}`);
});
