import { beforeEach, describe, expect, it } from "vitest";

import { FakeShop, json, noNetwork, problem } from "../../tests/shop";
import { ShopError, isFault, send } from "./client";
import { PROBLEM_TYPES } from "./contract";

let shop: FakeShop;

beforeEach(() => {
  shop = new FakeShop();
});

async function failure(answer: () => Response): Promise<ShopError> {
  shop.on("GET /x", answer);
  try {
    await send("/x");
  } catch (error) {
    if (error instanceof ShopError) return error;
  }
  throw new Error("the call did not fail as it should");
}

describe("a call", () => {
  it("sends JSON and returns data and headers", async () => {
    shop.on("PUT /x", () => json(200, { a: 1 }, { etag: '"t"' }));
    const { data, headers } = await send("/x", { method: "PUT", body: { quantity: 2 } });
    expect(data).toEqual({ a: 1 });
    expect(headers.get("etag")).toBe('"t"');
    expect(shop.sent[0]).toMatchObject({ method: "PUT", body: { quantity: 2 } });
    expect(shop.sent[0]?.headers.get("content-type")).toBe("application/json");
  });

  it("returns null where there is nothing to say", async () => {
    shop.on("DELETE /x", () => json(204, null));
    expect((await send("/x", { method: "DELETE" })).data).toBeNull();
  });

  it.each(PROBLEM_TYPES)("knows the problem %s", async (slug) => {
    const error = await failure(() => problem(400, slug));
    expect(isFault(error, slug)).toBe(true);
    expect(error.problem.request_id).toBe("r-1");
  });

  it("reads Retry-After", async () => {
    const after = (value: string) => () => problem(503, "not-ready", {}, { "retry-after": value });
    expect((await failure(after("7"))).retryAfterS).toBe(7);
    expect((await failure(after("soon"))).retryAfterS).toBeNull();
  });

  it.each([502, 503, 504])("takes a stranger's %i for one that passes", async (status) => {
    const error = await failure(() => new Response("<html>Bad gateway</html>", { status }));
    expect(error).toMatchObject({ fault: "unreadable", status, passing: true });
  });

  it("does not take another page for an answer", async () => {
    const error = await failure(() => new Response("<html>Please pay for the network</html>"));
    expect(error).toMatchObject({ fault: "unreadable", status: 200, passing: false });
  });

  it("says so when there is no answer", async () => {
    expect(await failure(noNetwork)).toMatchObject({ fault: "no-answer", passing: true });
  });

  it("is no failure when its own page has given it up", async () => {
    shop.on("GET /x", noNetwork);
    const signal = AbortSignal.abort(new DOMException("gone", "AbortError"));
    await expect(send("/x", { signal })).rejects.toHaveProperty("name", "AbortError");
  });
});
