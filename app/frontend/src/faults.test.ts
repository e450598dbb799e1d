import { describe, expect, it } from "vitest";

import { ShopError } from "./api/client";
import { PROBLEM_TYPES } from "./api/contract";
import { explain, fieldFaults } from "./faults";

describe("an explanation", () => {
  it.each([...PROBLEM_TYPES, "no-answer", "unreadable"] as const)("exists for %s", (fault) => {
    const { title, text } = explain(new ShopError(fault, 400));
    expect(title).toMatch(/^[A-Z].{5,}[^.]$/);
    expect(text).toMatch(/^[A-Z].{5,}\.$/);
    expect(title + text).not.toContain(fault);
  });

  it("names the part of the shop that is away", () => {
    const error = new ShopError("dependency-unavailable", 503, { dependency: "cart store" });
    expect(explain(error).text).toContain("The cart store is not answering");
  });

  it("says how long to wait", () => {
    expect(explain(new ShopError("too-many-attempts", 429, {}, 42)).text).toContain("42 seconds");
    expect(explain(new ShopError("too-many-attempts", 429, {}, 1)).text).toContain("1 second.");
  });

  it("gives the payment service's reason in words, known or not", () => {
    const declined = (code: string) => explain(new ShopError("payment-declined", 402, { code }));
    expect(declined("insufficient_funds").text).toContain("not enough money");
    expect(declined("something_new").text).toContain("refused the payment");
    expect(declined("something_new").text).toContain("Nothing was charged");
  });

  it("takes an error of the pages themselves for our fault", () => {
    expect(explain(new RangeError("x")).title).toContain("our fault");
  });
});

describe("faults of fields", () => {
  it("are told in the pages' own words, where there are some", () => {
    const errors = [
      { in: "body", field: "email", message: "String should match pattern" },
      { in: "body", field: "nickname", message: "Extra inputs are not permitted" },
      { in: "header", field: "If-Match", message: "no" },
    ] as const;
    expect(fieldFaults(new ShopError("validation", 422, { errors: [...errors] }))).toEqual({
      email: "Enter an e-mail address, such as ada@example.test.",
      nickname: "Extra inputs are not permitted",
    });
  });

  it("put a taken address to its field", () => {
    expect(fieldFaults(new ShopError("email-taken", 409))).toHaveProperty("email");
  });
});
