import { beforeEach, describe, expect, it, vi } from "vitest";

import { order } from "../tests/shop";
import { type Fault, ShopError } from "./api/client";
import { PurchaseBook, settle } from "./purchase";

const pause = vi.fn<(seconds: number) => Promise<void>>();
const checkOut = vi.fn<(key: string, card: string) => Promise<ReturnType<typeof order>>>();
let book: PurchaseBook;

beforeEach(() => {
  pause.mockReset().mockResolvedValue();
  checkOut.mockReset().mockResolvedValue(order());
  book = new PurchaseBook(localStorage, "ada");
});

const fault = (name: Fault, status: number, after: number | null = null) =>
  new ShopError(name, status, {}, after);
const pay = () => settle({ checkOut }, book, book.begin("pm_card_visa"), undefined, pause);
const keys = () => new Set(checkOut.mock.calls.map(([key]) => key));

describe("a purchase", () => {
  it("is over when it is paid; the next one has another key", async () => {
    expect(await pay()).toEqual({ kind: "paid", order: order() });
    expect(book.open()).toBeNull();
    await pay();
    expect(keys().size).toBe(2);
    for (const key of keys()) expect(key).toMatch(/^[A-Za-z0-9_-]{22,128}$/);
  });

  it.each([
    ["checkout-in-progress", 409],
    ["payment-gateway-error", 502],
    ["payment-gateway-unavailable", 503],
    ["dependency-unavailable", 503],
    ["payment-gateway-timeout", 504],
    ["no-answer", 0],
    ["unreadable", 502],
  ] as const)("is repeated with the same key after %s", async (name, status) => {
    checkOut.mockRejectedValueOnce(fault(name, status));
    expect(await pay()).toMatchObject({ kind: "paid" });
    expect(checkOut).toHaveBeenCalledTimes(2);
    expect(keys().size).toBe(1);
  });

  it("waits as long as the shop asks for, within reason", async () => {
    checkOut
      .mockRejectedValueOnce(fault("checkout-in-progress", 409, 2))
      .mockRejectedValueOnce(fault("payment-gateway-error", 502, 3600))
      .mockRejectedValueOnce(fault("no-answer", 0));
    await pay();
    expect(pause.mock.calls.map(([seconds]) => seconds)).toEqual([2, 8, 4]);
  });

  it("stays open when the shop does not settle it, and survives a reload", async () => {
    checkOut.mockRejectedValue(fault("payment-gateway-timeout", 504, 1));
    expect(await pay()).toMatchObject({ kind: "unsettled" });
    expect(checkOut).toHaveBeenCalledTimes(4);

    const reloaded = new PurchaseBook(localStorage, "ada");
    // Whatever card is chosen next: this one goes on until it is settled.
    expect(reloaded.begin("pm_card_mastercard")).toEqual(book.open());
    expect(new Set([...keys(), reloaded.open()?.key]).size).toBe(1);
    expect(reloaded.open()?.card).toBe("pm_card_visa");
  });

  it("remembers the order that it has become", async () => {
    const orderId = order().id;
    checkOut
      .mockRejectedValueOnce(new ShopError("payment-gateway-error", 502, { order_id: orderId }))
      .mockRejectedValue(fault("no-answer", 0));
    expect(await pay()).toMatchObject({ kind: "unsettled", error: { fault: "no-answer" } });
    expect(new PurchaseBook(localStorage, "ada").open()).toMatchObject({ orderId });
    expect(keys().size).toBe(1);
  });

  it.each([
    ["internal", 500],
    ["authentication-required", 401],
    ["invalid-refresh-token", 401],
  ] as const)("stays open without being repeated after %s", async (name, status) => {
    checkOut.mockRejectedValue(fault(name, status));
    expect(await pay()).toMatchObject({ kind: "unsettled" });
    expect(checkOut).toHaveBeenCalledOnce();
    expect(book.open()).not.toBeNull();
  });

  it.each([
    ["payment-declined", 402],
    ["out-of-stock", 409],
    ["cart-empty", 409],
    ["idempotency-key-reused", 422],
    ["validation", 422],
  ] as const)("is over after %s", async (name, status) => {
    checkOut.mockRejectedValue(fault(name, status));
    expect(await pay()).toMatchObject({ kind: "refused", error: { fault: name } });
    expect(checkOut).toHaveBeenCalledOnce();
    expect(book.open()).toBeNull();
  });

  it("tells what it waits for", async () => {
    const onWait = vi.fn();
    checkOut.mockRejectedValueOnce(fault("payment-gateway-error", 502));
    await settle({ checkOut }, book, book.begin("pm_card_visa"), onWait, pause);
    expect(onWait).toHaveBeenCalledExactlyOnceWith(
      expect.objectContaining({ fault: "payment-gateway-error" }),
    );
  });

  it("is nobody else's", () => {
    book.begin("pm_card_visa");
    expect(new PurchaseBook(localStorage, "grace").open()).toBeNull();
  });

  it("is forgotten when the shop has long settled it by itself", () => {
    const begun = book.begin("pm_card_visa");
    const old = { ...begun, begunAt: "2020-01-01T00:00:00Z" };
    localStorage.setItem("triptych.purchase.ada", JSON.stringify(old));
    expect(book.open()).toBeNull();
    expect(book.begin("pm_card_visa").key).not.toBe(begun.key);
  });

  it("does not stumble over what it cannot read", () => {
    for (const text of ["{", "null", "[]", '{"key":"k"}']) {
      localStorage.setItem("triptych.purchase.ada", text);
      expect(book.open()).toBeNull();
    }
  });
});
