/** The auth operations, on stores in memory. */

import { decodeJwt } from "jose";
import { beforeEach, describe, expect, test } from "vitest";

import { dependencyUnavailable } from "../src/http/problems";
import { expectProblem, newApp, PASSWORD } from "./support";

type App = Awaited<ReturnType<typeof newApp>>["app"];

const ADA = { email: "ada@example.test", password: PASSWORD };

let app: App;

function post(path: string, payload: object) {
  return app.inject({ method: "POST", url: `/api/v1/auth/${path}`, payload });
}

beforeEach(async () => {
  ({ app } = await newApp());
  const registered = await post("register", { ...ADA, email: "Ada@Example.test", name: "Ada" });
  expect(registered.statusCode).toBe(201);
  expect(registered.headers["content-type"]).toBe("application/json");
  expect(registered.json()).toEqual({
    id: expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
    email: ADA.email,
    name: "Ada",
    created_at: "2026-01-02T03:04:05.678901Z",
  });
});

test("an address is taken whatever its case", async () => {
  const again = await post("register", { ...ADA, email: "ADA@example.test", name: "B" });
  expectProblem(again, 409, "email-taken");
});

test("logging in answers tokens that are not to be kept", async () => {
  const answer = await post("login", ADA);
  expect(answer.statusCode).toBe(200);
  expect(answer.headers["cache-control"]).toBe("no-store");
  const tokens = answer.json<Record<string, string>>();
  expect(tokens).toEqual({
    access_token: expect.any(String) as string,
    token_type: "bearer",
    expires_in: 900,
    refresh_token: expect.stringMatching(/^[A-Za-z0-9_-]{43}$/) as string,
    refresh_expires_in: 3600,
  });
  const claims = decodeJwt(tokens.access_token ?? "");
  expect(claims).toMatchObject({ iss: "triptych", aud: "triptych-shop" });
  expect((claims.exp ?? 0) - (claims.iat ?? 0)).toBe(900);
});

test("a wrong password and an unknown address get the same answer", async () => {
  const wrong = await post("login", { ...ADA, password: "wrong" });
  const unknown = await post("login", { email: "bob@example.test", password: PASSWORD });
  const documents = [wrong, unknown].map((answer) => {
    expect(answer.headers["www-authenticate"]).toBe('Bearer realm="triptych"');
    expect(answer.headers["cache-control"]).toBeUndefined();
    return { ...expectProblem(answer, 401, "invalid-credentials"), request_id: "" };
  });
  expect(documents[0]).toEqual(documents[1]);
});

test("guessing is braked for that address only; good log-ins are not counted", async () => {
  await post("register", { ...ADA, email: "bob@example.test", name: "Bob" });
  for (let i = 0; i < 12; i += 1) expect((await post("login", ADA)).statusCode).toBe(200);
  for (let i = 0; i < 10; i += 1) {
    expect((await post("login", { ...ADA, password: "wrong" })).statusCode).toBe(401);
  }
  const braked = await post("login", ADA);
  expectProblem(braked, 429, "too-many-attempts");
  expect(braked.headers["retry-after"]).toBe("60");
  expect((await post("login", { ...ADA, email: "bob@example.test" })).statusCode).toBe(200);
});

test("a refresh token is good for one use", async () => {
  const { refresh_token } = (await post("login", ADA)).json<{ refresh_token: string }>();
  const refreshed = await post("refresh", { refresh_token });
  expect(refreshed.statusCode).toBe(200);
  expect(refreshed.headers["cache-control"]).toBe("no-store");
  expect(refreshed.json<{ refresh_token: string }>().refresh_token).not.toBe(refresh_token);
  const again = await post("refresh", { refresh_token });
  expectProblem(again, 401, "invalid-refresh-token");
  expect(again.headers["www-authenticate"]).toContain('error="invalid_token"');
});

test("logging out voids the refresh token, and may be repeated", async () => {
  const { refresh_token } = (await post("login", ADA)).json<{ refresh_token: string }>();
  for (let i = 0; i < 2; i += 1) {
    const answer = await post("logout", { refresh_token });
    expect([answer.statusCode, answer.body]).toEqual([204, ""]);
  }
  expect((await post("refresh", { refresh_token })).statusCode).toBe(401);
});

test("the published key may be kept for five minutes", async () => {
  const { app, tokens } = await newApp();
  const answer = await app.inject("/.well-known/jwks.json");
  expect(answer.json()).toEqual(tokens.keySet);
  expect(answer.headers["cache-control"]).toBe("public, max-age=300");
  expect(answer.headers["content-type"]).toBe("application/json");
});

describe("a store that does not answer", () => {
  const away = (dependency: string) => () =>
    Promise.reject(dependencyUnavailable(dependency, new Error("connect ECONNREFUSED")));

  test.each([
    ["register", "database"],
    ["login", "session store"],
    ["refresh", "session store"],
    ["logout", "session store"],
  ])("makes %s a 503 that names the %s, with the reason in the log only", async (path, part) => {
    const broken = await newApp(
      {},
      {
        accounts: { add: away("database"), findLogin: away("database") },
        brake: { check: away("session store"), countFailure: away("session store") },
        sessions: {
          ttl_s: 1,
          open: away("session store"),
          redeem: away("session store"),
          close: away("session store"),
        },
      },
    );
    const bodies: Record<string, object> = { register: { ...ADA, name: "A" }, login: ADA };
    const answer = await broken.app.inject({
      method: "POST",
      url: `/api/v1/auth/${path}`,
      payload: bodies[path] ?? { refresh_token: "x".repeat(43) },
    });
    const problem = expectProblem(answer, 503, "dependency-unavailable");
    expect(problem.dependency).toBe(part);
    expect(answer.headers["retry-after"]).toBe("1");
    expect(answer.body).not.toContain("ECONNREFUSED");
    expect(broken.lines).toContainEqual(
      expect.objectContaining({ level: "warning", reason: "Error: connect ECONNREFUSED" }),
    );
  });

  test("no tokens are given away when the session cannot be stored", async () => {
    const { app } = await newApp(
      {},
      {
        accounts: {
          add: () => Promise.resolve(undefined),
          findLogin: () => Promise.resolve({ id: "1", passwordHash: `hash of ${PASSWORD}` }),
        },
        sessions: {
          ttl_s: 1,
          open: away("session store"),
          redeem: away("session store"),
          close: away("session store"),
        },
      },
    );
    const answer = await app.inject({ method: "POST", url: "/api/v1/auth/login", payload: ADA });
    expectProblem(answer, 503, "dependency-unavailable");
    expect(answer.body).not.toContain("access_token");
  });
});

test("until start-up is done, operations answer 503 after the checks of the request", async () => {
  const { app } = await newApp({ startup: { done: false, missing: "database" } });
  const login = (payload: object) =>
    app.inject({ method: "POST", url: "/api/v1/auth/login", payload });
  const problem = expectProblem(await login(ADA), 503, "dependency-unavailable");
  expect(problem.dependency).toBe("database");
  expectProblem(await login({}), 422, "validation");
  expect((await app.inject("/.well-known/jwks.json")).statusCode).toBe(200);
});

test("a defect of ours is a 500 that tells nothing; the log tells all", async () => {
  const { app, lines } = await newApp(
    {},
    {
      passwords: {
        hash: () => Promise.reject(new TypeError("secret detail")),
        matches: () => Promise.resolve(false),
      },
    },
  );
  const answer = await app.inject({
    method: "POST",
    url: "/api/v1/auth/register",
    payload: { ...ADA, name: "A" },
    headers: { "x-request-id": "trace-1" },
  });
  expectProblem(answer, 500, "internal");
  expect(answer.body).not.toContain("secret detail");
  const error = lines.find((line) => line.level === "error");
  expect(error).toMatchObject({
    request_id: "trace-1",
    exception: expect.stringContaining("TypeError: secret detail\n    at ") as string,
  });
});
