import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import {
  FakeShop,
  USER_ID,
  json,
  noNetwork,
  problem,
  signIn,
  storedSession,
  tokens,
} from "../../tests/shop";
import { Session } from "./session";

let shop: FakeShop;

beforeEach(() => {
  shop = new FakeShop();
});

afterEach(() => {
  vi.useRealTimers();
});

const bearer = (index: number) =>
  shop.calls("GET /api/v1/orders")[index]?.headers.get("authorization");

describe("a session", () => {
  it("begins with a log-in", async () => {
    shop.on("POST /api/v1/auth/login", () => json(200, tokens()));
    const session = new Session(localStorage);
    expect(session.visitor()).toEqual({ signedIn: false, expired: false });

    await session.logIn("Ada@Example.test", "correct horse");

    expect(session.visitor()).toEqual({
      signedIn: true,
      email: "ada@example.test",
      userId: USER_ID,
    });
  });

  it("goes on after a reload without a renewal, which another reload could cut off", async () => {
    shop.on("POST /api/v1/auth/login", () => json(200, tokens()));
    shop.on("GET /api/v1/orders", () => json(200, {}));
    await new Session(localStorage).logIn("ada@example.test", "correct horse");

    await new Session(localStorage).send("/api/v1/orders");

    expect(bearer(0)).toBe(`Bearer ${tokens().access_token}`);
    expect(shop.calls("POST /api/v1/auth/refresh")).toEqual([]);
  });

  it("renews a token that has run out, once for many calls", async () => {
    signIn(shop);
    shop.on("GET /api/v1/orders", () => json(200, {}));
    const session = new Session(localStorage);

    await Promise.all([1, 2, 3].map(() => session.send("/api/v1/orders")));

    expect(shop.calls("POST /api/v1/auth/refresh")).toHaveLength(1);
    expect(bearer(2)).toBe(`Bearer ${tokens().access_token}`);
    expect(localStorage.getItem("triptych.session")).toContain(tokens().refresh_token);
  });

  it("renews a token that the shop refuses, once, and repeats the call", async () => {
    signIn(shop);
    shop.sequence(
      "POST /api/v1/auth/refresh",
      () => json(200, tokens("1")),
      () => json(200, tokens("2")),
    );
    shop.sequence(
      "GET /api/v1/orders",
      () => problem(401, "authentication-required"),
      () => json(200, { fine: true }),
    );

    const { data } = await new Session(localStorage).send("/api/v1/orders");

    expect(data).toEqual({ fine: true });
    expect([bearer(0), bearer(1)]).toEqual([
      `Bearer ${tokens("1").access_token}`,
      `Bearer ${tokens("2").access_token}`,
    ]);
    expect(shop.calls("POST /api/v1/auth/refresh")[1]?.body).toEqual({
      refresh_token: tokens("1").refresh_token,
    });
  });

  it("does not ask for ever when fresh tokens are refused too", async () => {
    signIn(shop);
    shop.on("GET /api/v1/orders", () => problem(401, "authentication-required"));

    const call = new Session(localStorage).send("/api/v1/orders");

    await expect(call).rejects.toMatchObject({ fault: "authentication-required" });
    expect(shop.calls("GET /api/v1/orders")).toHaveLength(2);
  });

  it("renews before a token runs out", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    signIn(shop);
    shop.on("GET /api/v1/orders", () => json(200, {}));
    const session = new Session(localStorage);
    await session.send("/api/v1/orders");
    vi.advanceTimersByTime(880_000);
    await session.send("/api/v1/orders");
    expect(shop.calls("POST /api/v1/auth/refresh")).toHaveLength(1);

    vi.advanceTimersByTime(15_000);
    await session.send("/api/v1/orders");

    expect(shop.calls("POST /api/v1/auth/refresh")).toHaveLength(2);
  });

  it("ends when the refresh token is void, and says that it ended by itself", async () => {
    signIn(shop);
    shop.on("POST /api/v1/auth/refresh", () => problem(401, "invalid-refresh-token"));
    const session = new Session(localStorage);
    const listener = vi.fn();
    session.subscribe(listener);

    await expect(session.send("/api/v1/orders")).rejects.toMatchObject({
      fault: "invalid-refresh-token",
    });

    expect(session.visitor()).toEqual({ signedIn: false, expired: true });
    expect(listener).toHaveBeenCalledOnce();
    expect(localStorage.getItem("triptych.session")).toBeNull();
  });

  it.each([
    ["is down", () => problem(503, "dependency-unavailable", {}, { "retry-after": "1" })],
    ["cannot be reached", noNetwork],
  ])("survives that the shop %s", async (_, answer) => {
    signIn(shop);
    shop.on("POST /api/v1/auth/refresh", answer);
    const session = new Session(localStorage);

    await expect(session.send("/api/v1/orders")).rejects.toMatchObject({ passing: true });

    expect(session.visitor().signedIn).toBe(true);
  });

  it("uses the tokens that another tab has left", async () => {
    signIn(shop);
    shop.sequence(
      "GET /api/v1/orders",
      () => problem(401, "authentication-required"),
      () => json(200, {}),
    );
    const session = new Session(localStorage);
    const good = Date.now() + 60_000;
    localStorage.setItem("triptych.session", JSON.stringify(storedSession("old", good)));
    const call = session.send("/api/v1/orders");
    localStorage.setItem("triptych.session", JSON.stringify(storedSession("new", good)));

    await call;

    expect([bearer(0), bearer(1)]).toEqual([
      `Bearer ${tokens("old").access_token}`,
      `Bearer ${tokens("new").access_token}`,
    ]);
    expect(shop.calls("POST /api/v1/auth/refresh")).toEqual([]);
  });

  it("is not mixed up with that of somebody else in another tab", async () => {
    signIn(shop);
    const session = new Session(localStorage);
    const other = storedSession("other", Date.now() + 60_000, "somebody-else");
    localStorage.setItem("triptych.session", JSON.stringify(other));

    await expect(session.send("/api/v1/orders")).rejects.toMatchObject({
      fault: "authentication-required",
    });

    expect(shop.sent).toEqual([]);
    expect(session.visitor()).toMatchObject({ userId: "somebody-else" });
  });

  it("ends here when somebody logs out in another tab", () => {
    signIn(shop);
    const session = new Session(localStorage);
    localStorage.removeItem("triptych.session");

    window.dispatchEvent(new StorageEvent("storage", { key: "triptych.session" }));

    expect(session.visitor()).toEqual({ signedIn: false, expired: false });
  });

  it("ends with a log-out, even if the shop does not hear of it", async () => {
    signIn(shop);
    shop.on("POST /api/v1/auth/logout", noNetwork);
    const session = new Session(localStorage);

    await expect(session.logOut()).rejects.toMatchObject({ fault: "no-answer" });

    expect(session.visitor()).toEqual({ signedIn: false, expired: false });
    expect(shop.calls("POST /api/v1/auth/logout")[0]?.body).toEqual({
      refresh_token: "0".padEnd(43, "x"),
    });
  });

  it("takes what it finds in the storage with a grain of salt", () => {
    for (const text of ["{", "null", "[]", '{"email":1}']) {
      localStorage.setItem("triptych.session", text);
      expect(new Session(localStorage).visitor().signedIn).toBe(false);
    }
  });
});
