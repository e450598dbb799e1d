import { describe, expect, it } from "vitest";

import { cart, line } from "../tests/shop";
import { differences, itemCount } from "./cart";

const texts = (...carts: Parameters<typeof differences>) =>
  differences(...carts).map(({ text }) => text.replace("Rowan Simple Copper ", ""));

describe("two carts", () => {
  it("differ by what was added, changed and taken out", () => {
    const seen = cart([line(1, 1), line(2, 2)]);
    expect(texts(seen, cart([line(2, 5), line(3, 1)]))).toEqual([
      "Kettle 2: 5 instead of 2",
      "Kettle 3: added, 1 of it",
      "Kettle 1: taken out",
    ]);
  });

  it("differ by price", () => {
    const dearer = { ...line(1, 1), unit_price: { amount: 2000, currency: "EUR" } };
    expect(texts(cart([line(1, 1)]), cart([dearer]))).toEqual([
      "Kettle 1: costs €20.00 now, was €10.01",
    ]);
  });

  it("may be the same", () => {
    expect(differences(cart([line(1, 1)]), cart([line(1, 1)]))).toEqual([]);
  });
});

it("a cart holds the sum of its quantities", () => {
  expect(itemCount(cart([line(1, 3), line(2, 4)]))).toBe(7);
  expect(itemCount(undefined)).toBe(0);
});
