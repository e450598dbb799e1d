/** What the service does with requests that are no requests: the contract's order of checks. */

import { randomUUID } from "node:crypto";

import { beforeAll, describe, expect, test } from "vitest";

import { expectProblem, faultyFields, newApp, type Answer } from "./support";

const JSON_TYPE = { "content-type": "application/json" };
const OPERATIONS = ["register", "login", "refresh", "logout"].map((name) => `/api/v1/auth/${name}`);

let app: Awaited<ReturnType<typeof newApp>>["app"];

beforeAll(async () => {
  ({ app } = await newApp());
});

async function post(
  url: string,
  payload: string | Buffer,
  headers: Record<string, string> = JSON_TYPE,
): Promise<Answer> {
  return app.inject({ method: "POST", url, payload, headers });
}

describe.each(OPERATIONS)("%s", (url) => {
  test.each([
    ["cut short", "{"],
    ["trailing comma", '{"a": 1,}'],
    ["single quotes", "{'a': 1}"],
    ["not UTF-8", Buffer.from('{"a": "\xff\xfe"}', "latin1")],
    ["a surrogate in UTF-8", Buffer.from('{"a": "\xed\xa0\x80"}', "latin1")],
    ["two documents", "{} {}"],
    ["deep nesting, unfinished", "[".repeat(60_000)],
    ["deep nesting", "[".repeat(30_000) + "]".repeat(30_000)],
    ["a bare word", "email"],
    ["a huge number", `[${"9".repeat(60_000)}]`],
    ["NUL", "\0"],
    ["white space", "  "],
    ["NaN", '{"email": NaN}'],
    ["infinity", "-Infinity"],
    ["leading zero", '{"email": 01}'],
  ])("refuses JSON with %s", async (_name, body) => {
    expectProblem(await post(url, body), 400, "malformed-json");
  });

  test.each(["[]", "7", '"text"', "null", "true", "", '{"\\ud800": 1}'])(
    "refuses %j as a whole",
    async (body) => {
      expect(faultyFields(await post(url, body))).toEqual([""]);
    },
  );

  test("names every missing and every unknown member", async () => {
    const required = {
      register: ["email", "name", "password"],
      login: ["email", "password"],
    }[url.split("/").pop() ?? ""] ?? ["refresh_token"];
    expect(faultyFields(await post(url, '{"b": 1, "__proto__": {}}'))).toEqual(
      [...required, "b", "__proto__"].sort(),
    );
  });

  test.each(
    [
      ["", "text/plain", "application/xml", "application/problem+json", "json"],
      ["application/json; charset=latin-1", "application/json; charset=utf-8; x=1"],
      ["application/json, text/plain", "application/jsonx", "application/json;;"],
    ].flat(),
  )("refuses the media type %j", async (mediaType) => {
    const answer = await post(url, "{}", { "content-type": mediaType });
    expectProblem(answer, 415, "unsupported-media-type");
  });

  test.each([
    "application/json; charset=utf-8",
    "Application/JSON",
    'application/json;charset="UTF-8"',
    "application/json;",
  ])("takes the media type %j", async (mediaType) => {
    faultyFields(await post(url, "{}", { "content-type": mediaType }));
  });

  test("refuses what is larger than 64 KiB before all else", async () => {
    expectProblem(await post(url, " ".repeat(65_537), {}), 413, "body-too-large");
    expectProblem(await post(`${url}/x`, " ".repeat(65_537)), 413, "body-too-large");
    expectProblem(await post(url, `{}${" ".repeat(65_534)}`), 422, "validation");
  });

  test.each(["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "QUERY"])(
    "says what it takes instead of %s",
    async (method) => {
      const answer = await app.inject({ method: method as "GET", url, payload: "{" });
      expect([answer.statusCode, answer.headers.allow]).toEqual([405, "POST"]);
    },
  );
});

test.each(["/", "/api/v1/auth", "/api/v1/auth/login/", "//api/v1/auth/login", "/%zz", "/x?y=/z"])(
  "there is nothing at %s",
  async (url) => {
    const problem = expectProblem(await app.inject(url), 404, "not-found");
    expect(problem.instance).toBe(url.split("?")[0]);
    expectProblem(await post(url, "{", {}), 404, "not-found");
  },
);

test.each(["/api/v1%2Fauth/%6Cogin", "/api/v1/auth/login?x=1", "http://shop/api/v1/auth/login"])(
  "%s is the log-in",
  async (url) => {
    faultyFields(await post(url, "{}"));
  },
);

test.each(["/.well-known/jwks.json", "/health/live", "/health/ready", "/metrics"])(
  "%s can only be read",
  async (url) => {
    const answer = await app.inject({ method: "POST", url });
    expectProblem(answer, 405, "method-not-allowed");
    expect(answer.headers.allow).toBe("GET");
  },
);

describe("text", () => {
  const registration = { email: "a@b.de", password: "long enough", name: "A" };
  const register = (change: object) =>
    post("/api/v1/auth/register", JSON.stringify({ ...registration, ...change }));
  const smile = "\u{1f600}";

  test.each([
    { email: "no-at-sign" },
    { email: "a@b" },
    { email: "a@b@c.de" },
    { email: "a b@c.de" },
    { email: "a\u0085b@c.de" },
    { email: "a\u00a0b@c.de" },
    { email: "a\u0000b@c.de" },
    { email: "a@c.de\n" },
    { email: "\ud800@c.de" },
    { email: `${smile.repeat(250)}@c.de` },
    { email: `${"\u0130".repeat(249)}@c.de` },
    { email: 7 },
    { email: null },
    { password: "short" },
    { password: smile.repeat(7) },
    { password: "x".repeat(129) },
    { password: 12345678 },
    { password: "lone \udc00 half" },
    { name: "" },
    { name: "x".repeat(101) },
    { name: "line\nbreak" },
    { name: "\u007f" },
    { name: ["A"] },
  ])("refuses %j", async (change) => {
    const answer = await register(change);
    expect(faultyFields(answer)).toEqual(Object.keys(change));
    expect(answer.body).not.toContain("long enough");
  });

  test.each([
    { email: "a\ufeffb@c.de" },
    { email: `${smile.repeat(249)}@c.de` },
    { password: smile.repeat(128) },
    { password: "nul \0 is fine" },
    { name: smile.repeat(100) },
    { name: "\u0085" },
  ])("takes %j", async (change) => {
    const answer = await register({ email: `${randomUUID()}@c.de`, ...change });
    expect(answer.statusCode).toBe(201);
  });

  test.each(["x".repeat(42), "x".repeat(44), `${"x".repeat(42)}=`, `${"x".repeat(43)}\n`])(
    "%j is no refresh token",
    async (token) => {
      const answer = await post("/api/v1/auth/refresh", JSON.stringify({ refresh_token: token }));
      expect(faultyFields(answer)).toEqual(["refresh_token"]);
    },
  );
});

describe("request ids", () => {
  const idOf = async (offered: string) => {
    const answer = await app.inject({
      url: "/.well-known/jwks.json",
      headers: { "x-request-id": offered },
    });
    expect(answer.statusCode).toBe(200);
    expect(answer.headers["x-instance-id"]).toMatch(/^[0-9a-f]{32}$/);
    return answer.headers["x-request-id"];
  };

  test.each(["trace.me_4-7", "x".repeat(64)])("%s is kept", async (offered) => {
    expect(await idOf(offered)).toBe(offered);
  });

  test.each(["a b", "x".repeat(65), '"><script>', "", "a,b"])("%j is replaced", async (offered) => {
    expect(await idOf(offered)).toMatch(/^[0-9a-f]{32}$/);
  });
});
