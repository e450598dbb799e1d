import { describe, expect, it } from "vitest";

import { count, formatMoney } from "./format";

describe("money", () => {
  it.each([
    [19590, "EUR", "€195.90"],
    [0, "EUR", "€0.00"],
    [5, "EUR", "€0.05"],
    [123456789, "EUR", "€1,234,567.89"],
    [1500, "JPY", "JP¥1,500"],
    [1500, "KWD", "KWD\u00a01.500"],
  ])("%i minor units of %s are %s", (amount, currency, text) => {
    expect(formatMoney({ amount, currency })).toBe(text);
  });
});

describe("a number of things", () => {
  it("has a plural", () => {
    expect([count(0, "item"), count(1, "item"), count(1234, "item")]).toEqual([
      "0 items",
      "1 item",
      "1,234 items",
    ]);
  });
});
