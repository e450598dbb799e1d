/** What the tests have in common: the application on stores in memory, and a key. */

import { generateKeyPairSync, randomUUID } from "node:crypto";

import type { FastifyInstance } from "fastify";
import { expect } from "vitest";

import type { Parts } from "../src/accounts/service";
import { AccessTokens } from "../src/accounts/tokens";
import { createApp, type AppOptions } from "../src/app";
import { Problem } from "../src/http/problems";
import { createLog, type Logger } from "../src/log";

export const PASSWORD = "correct horse battery";

export function newKey(curve = "P-256"): string {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: curve });
  return privateKey.export({ type: "pkcs8", format: "pem" }).toString();
}

export function newTokens(jwtPrivateKey = newKey()): Promise<AccessTokens> {
  return AccessTokens.create({
    jwtPrivateKey,
    jwtIssuer: "triptych",
    jwtAudience: "triptych-shop",
    accessTokenTtl_s: 900,
  });
}

/** A log whose lines are kept. */
export function keptLog(): { log: Logger; lines: Record<string, unknown>[] } {
  const lines: Record<string, unknown>[] = [];
  const log = createLog(
    { logLevel: "DEBUG", release: "r1" },
    { write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>) },
  );
  return { log, lines };
}

/** Stores in memory, with the semantics of the real ones. */
export function partsInMemory(tokens: AccessTokens): Parts {
  const accounts = new Map<string, { id: string; passwordHash: string }>();
  const sessions = new Map<string, string>();
  const failures = new Map<string, number>();
  return {
    accounts: {
      add: (email, name, passwordHash) => {
        if (accounts.has(email)) return Promise.resolve(undefined);
        const id = randomUUID();
        accounts.set(email, { id, passwordHash });
        return Promise.resolve({ id, email, name, createdAt: "2026-01-02T03:04:05.678901Z" });
      },
      findLogin: (email) => Promise.resolve(accounts.get(email)),
    },
    passwords: {
      hash: (password) => Promise.resolve(`hash of ${password}`),
      matches: (hash, password) => Promise.resolve(hash === `hash of ${password}`),
    },
    tokens,
    sessions: {
      ttl_s: 3600,
      open: (userId) => {
        const token = randomUUID().replaceAll("-", "").padEnd(43, "_");
        sessions.set(token, userId);
        return Promise.resolve(token);
      },
      redeem: (token) => {
        const userId = sessions.get(token);
        sessions.delete(token);
        return Promise.resolve(userId);
      },
      close: (token) => Promise.resolve(void sessions.delete(token)),
    },
    brake: {
      check: (email) =>
        (failures.get(email) ?? 0) < 10
          ? Promise.resolve()
          : Promise.reject(
              new Problem("too-many-attempts", "Later.", { headers: { "retry-after": "60" } }),
            ),
      countFailure: (email) =>
        Promise.resolve(void failures.set(email, (failures.get(email) ?? 0) + 1)),
    },
  };
}

interface TestApp {
  readonly app: FastifyInstance;
  readonly lines: Record<string, unknown>[];
  readonly tokens: AccessTokens;
}

/** Returns the application, started and well unless the options say otherwise. */
export async function newApp(
  options: Partial<AppOptions> = {},
  faults: Partial<Parts> = {},
): Promise<TestApp> {
  const tokens = await newTokens();
  const { log, lines } = keptLog();
  const app = createApp({
    log,
    startup: { done: true, missing: "" },
    parts: { ...partsInMemory(tokens), ...faults },
    keySet: tokens.keySet,
    checks: { database: () => Promise.resolve(), session_store: () => Promise.resolve() },
    ...options,
  });
  return { app, lines, tokens };
}

export interface Answer {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

/** Asserts that the answer is this problem, complete, and returns its document. */
export function expectProblem(
  answer: Answer,
  status: number,
  slug: string,
): Record<string, unknown> {
  const problem = JSON.parse(answer.body) as Record<string, unknown>;
  expect([answer.statusCode, problem.type]).toEqual([status, `urn:triptych:problem:${slug}`]);
  expect(answer.headers["content-type"]).toBe("application/problem+json");
  expect(problem).toMatchObject({
    status,
    title: expect.any(String) as string,
    detail: expect.any(String) as string,
    instance: expect.stringMatching(/^\//) as string,
    request_id: answer.headers["x-request-id"],
  });
  return problem;
}

/** The fields that a 422 complains about. */
export function faultyFields(answer: Answer): string[] {
  const { errors } = expectProblem(answer, 422, "validation") as {
    errors: { in: string; field: string; message: string }[];
  };
  expect(new Set(errors.map((error) => error.in))).toEqual(new Set(["body"]));
  return errors.map(({ field }) => field).sort();
}
