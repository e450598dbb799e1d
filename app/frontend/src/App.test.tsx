import { screen, waitFor, within } from "@testing-library/react";
import { userEvent } from "@testing-library/user-event";
import { beforeEach, describe, expect, it, vi } from "vitest";

import {
  FakeShop,
  cart,
  expectAccessible,
  json,
  line,
  noNetwork,
  order,
  page,
  problem,
  product,
  signIn,
  tokens,
  visit,
} from "../tests/shop";
import type { Line } from "./api/contract";

let shop: FakeShop;

beforeEach(() => {
  shop = new FakeShop();
});

const button = (name: RegExp | string) => screen.findByRole("button", { name });
const heading = (name: RegExp | string) => screen.findByRole("heading", { name });

/** A cart that keeps what is put into it, and refuses changes of a state that is gone. */
function keepCart(...items: Line[]) {
  const state = { items, version: 1 };
  const answer = () => json(200, cart(state.items), { etag: `"${state.version}"` });
  shop.on("GET /api/v1/cart", answer);
  for (const id of [1, 2, 3, 7]) {
    shop.on(`PUT /api/v1/cart/items/${id}`, ({ headers, body }) => {
      if (headers.get("if-match") !== `"${state.version}"`) return problem(412, "cart-changed");
      const { quantity } = body as { quantity: number };
      state.items = [...state.items.filter((it) => it.product_id !== id), line(id, quantity)];
      state.version += 1;
      return answer();
    });
    shop.on(`DELETE /api/v1/cart/items/${id}`, ({ headers }) => {
      if (headers.get("if-match") !== `"${state.version}"`) return problem(412, "cart-changed");
      state.items = state.items.filter((it) => it.product_id !== id);
      state.version += 1;
      return json(204, null);
    });
  }
  return {
    /** Somebody changes it in another window. */
    elsewhere(...now: Line[]) {
      state.items = now;
      state.version += 1;
    },
  };
}

describe("the catalogue", () => {
  it("shows products, prices, stock and the pages there are", async () => {
    const items = [product(1), product(2, { stock: 0 }), product(3, { stock: 4 })];
    shop.on("GET /api/v1/products", () => json(200, page(items, 60)));
    visit("/");
    expect(await screen.findByRole("link", { name: product(1).name })).toHaveAttribute(
      "href",
      "/products/1",
    );
    expect(screen.getByText("€10.01")).toBeInTheDocument();
    expect(screen.getByText("Sold out")).toBeInTheDocument();
    expect(screen.getByText("Only 4 left")).toBeInTheDocument();
    expect(screen.getByText("60 products, page 1 of 3")).toBeInTheDocument();
    await expectAccessible();
  });

  it("searches, and goes through the pages of what it found", async () => {
    shop.on("GET /api/v1/products", () => json(200, page([product(1)], 60)));
    visit("/");
    const user = userEvent.setup();
    await user.type(screen.getByRole("searchbox"), "  walnut desk {Enter}");
    await heading("Results for “walnut desk”");
    await user.click(await screen.findByRole("link", { name: "Page 2" }));
    await screen.findByText("60 products, page 2 of 3");
    expect(shop.calls("GET /api/v1/products").map(({ path }) => path)).toEqual([
      "/api/v1/products?page=1&page_size=24",
      "/api/v1/products?page=1&page_size=24&q=walnut+desk",
      "/api/v1/products?page=2&page_size=24&q=walnut+desk",
    ]);
    expect(document.title).toBe("“walnut desk”, Page 2 · Triptych");
    expect(await heading(/Results for/)).toHaveFocus();
    expect(screen.getAllByRole("status")[0]).toHaveTextContent("60 products for “walnut desk”");
  });

  it("does not take the results of one search for those of another", async () => {
    shop.on("GET /api/v1/products", () => json(200, page([product(1)], 60)));
    visit("/?q=one");
    await screen.findByText(product(1).name);
    shop.on("GET /api/v1/products", () => new Promise(() => undefined));
    await userEvent.type(screen.getByRole("searchbox"), " two{Enter}");
    await heading("Results for “one two”");
    expect(screen.queryByText(product(1).name)).toBeNull();
    expect(screen.queryByText(/60 products, page/)).toBeNull();
  });

  it("says that there is nothing, and what to do", async () => {
    visit("/?q=the");
    expect(await heading("Nothing for “the”")).toBeInTheDocument();
    expect(screen.getByRole("link", { name: "Show everything" })).toHaveAttribute("href", "/");
    await expectAccessible();
  });

  it("says that a page is beyond the last", async () => {
    shop.on("GET /api/v1/products", () => json(200, page([], 60, 9)));
    visit("/?page=9");
    expect(await heading("The shelf ends before this page")).toBeInTheDocument();
  });

  it.each(["?page=0", "?page=-1", "?page=x", "?page=1e3"])(
    "takes %s for page 1",
    async (search) => {
      visit(`/${search}`);
      await waitFor(() => {
        expect(shop.calls("GET /api/v1/products")[0]?.path).toContain("?page=1&");
      });
    },
  );

  it("tries again by itself, then says what is wrong and lets one try", async () => {
    shop.sequence(
      "GET /api/v1/products",
      ...Array.from({ length: 3 }, () => () => {
        return problem(503, "dependency-unavailable", { dependency: "database" });
      }),
      () => json(200, page([product(1)])),
    );
    visit("/");
    expect(await screen.findByText(/The database is not answering/)).toBeInTheDocument();
    expect(screen.getByText("r-1")).toBeInTheDocument();
    expect(shop.calls("GET /api/v1/products")).toHaveLength(3);
    await expectAccessible();
    await userEvent.click(await button("Try again"));
    expect(await screen.findByText(product(1).name)).toBeInTheDocument();
  });
});

describe("a product", () => {
  it("is shown with what there is to know", async () => {
    shop.on("GET /api/v1/products/7", () => json(200, product(7, { stock: 3 })));
    shop.on("GET /api/v1/products", () => json(200, page([product(8), product(7)])));
    visit("/products/7");
    expect(await heading(product(7).name)).toBeInTheDocument();
    expect(screen.getByText("Only 3 left")).toBeInTheDocument();
    expect(await screen.findByRole("link", { name: product(8).name })).toBeInTheDocument();
    expect(document.title).toBe(`${product(7).name} · Triptych`);
    await expectAccessible();
  });

  it.each(["0", "x", "1.5", "99999999999"])("is not asked for with the id %s", async (id) => {
    visit(`/products/${id}`);
    expect(await heading("We do not have this product")).toBeInTheDocument();
    expect(shop.sent.filter(({ path }) => path.includes("/products/"))).toEqual([]);
  });

  it("may be unknown", async () => {
    shop.on("GET /api/v1/products/7", () => problem(404, "product-not-found"));
    visit("/products/7");
    expect(await heading("We do not have this product")).toBeInTheDocument();
  });

  it("cannot be bought when it is sold out", async () => {
    shop.on("GET /api/v1/products/7", () => json(200, product(7, { stock: 0 })));
    visit("/products/7");
    expect(await screen.findByText("Sold out.")).toBeInTheDocument();
    expect(screen.queryByRole("button", { name: "Add to cart" })).toBeNull();
  });

  it("is added to what the cart holds, even if that has just changed", async () => {
    signIn(shop);
    const kept = keepCart(line(7, 2));
    shop.on("GET /api/v1/products/7", () => json(200, product(7)));
    visit("/products/7");
    const user = userEvent.setup();
    await user.click(await button("One more"));
    await screen.findByRole("link", { name: "Cart, 2 items" });
    kept.elsewhere(line(7, 10));
    await user.click(await button("Add to cart"));
    expect(await screen.findByText(/your cart holds 12 of this/)).toBeInTheDocument();
    expect(screen.getByRole("link", { name: "Cart, 12 items" })).toBeInTheDocument();
  });

  it("fills a cart line up to 99 and says so", async () => {
    signIn(shop);
    keepCart(line(7, 99));
    shop.on("GET /api/v1/products/7", () => json(200, product(7)));
    visit("/products/7");
    await userEvent.click(await button("Add to cart"));
    expect(await screen.findByText(/holds 99 of this already/)).toBeInTheDocument();
  });

  it("says when the cart is full", async () => {
    signIn(shop);
    shop.on("GET /api/v1/products/7", () => json(200, product(7)));
    shop.on("PUT /api/v1/cart/items/7", () => problem(409, "cart-full"));
    visit("/products/7");
    await userEvent.click(await button("Add to cart"));
    expect(await screen.findByRole("alert")).toHaveTextContent("Your cart is full");
  });

  it("goes into the cart after the log-in that it takes", async () => {
    keepCart();
    shop.on("GET /api/v1/products/7", () => json(200, product(7)));
    shop.on("POST /api/v1/auth/login", () => json(200, tokens()));
    visit("/products/7");
    const user = userEvent.setup();
    await user.click(await button("One more"));
    await user.click(await button("Add to cart"));
    expect(await screen.findByText(/it goes into your cart/)).toBeInTheDocument();
    await expectAccessible();
    await user.type(screen.getByLabelText("E-mail"), "ada@example.test");
    await user.type(screen.getByLabelText("Password"), "correct horse{Enter}");
    expect(await screen.findByText(/2 pieces added/)).toBeInTheDocument();
    expect(shop.calls("PUT /api/v1/cart/items/7")).toHaveLength(1);
  });
});

describe("logging in", () => {
  it("is asked for by pages that need it, which then are shown", async () => {
    shop.on("POST /api/v1/auth/login", () => json(200, tokens()));
    shop.on("GET /api/v1/orders", () => json(200, page([])));
    visit("/orders?page=2");
    expect(await screen.findByText("Log in to see this page.")).toBeInTheDocument();
    const user = userEvent.setup();
    await user.type(screen.getByLabelText("E-mail"), "ada@example.test");
    await user.type(screen.getByLabelText("Password"), "correct horse{Enter}");
    expect(await heading("Your orders")).toBeInTheDocument();
    expect(shop.calls("GET /api/v1/orders")[0]?.path).toContain("page=2");
  });

  it("points at what is missing before the shop is asked", async () => {
    visit("/login");
    await userEvent.click(await button("Log in"));
    const email = screen.getByLabelText("E-mail");
    expect(email).toHaveFocus();
    expect(email).toHaveAccessibleDescription(/Enter an e-mail address/);
    expect(screen.getByLabelText("Password")).toHaveAccessibleDescription("Enter your password.");
    expect(shop.calls("POST /api/v1/auth/login")).toEqual([]);
    await expectAccessible();
  });

  it.each([
    [() => problem(401, "invalid-credentials"), "That address and password do not match"],
    [() => problem(429, "too-many-attempts", {}, { "retry-after": "30" }), "in 30 seconds"],
    [() => problem(503, "dependency-unavailable"), "Part of the shop is resting"],
    [noNetwork, "No connection to the shop"],
  ])("says why it failed, and puts the focus there (%#)", async (answer, words) => {
    shop.on("POST /api/v1/auth/login", answer);
    visit("/login");
    const user = userEvent.setup();
    await user.type(screen.getByLabelText("E-mail"), "ada@example.test");
    await user.type(screen.getByLabelText("Password"), "wrong{Enter}");
    const alert = await screen.findByRole("alert");
    expect(alert).toHaveTextContent(words);
    expect(alert).toContainElement(document.activeElement as HTMLElement);
  });

  it("is asked for again when the session has ended, and says so", async () => {
    signIn(shop);
    shop.on("POST /api/v1/auth/refresh", () => problem(401, "invalid-refresh-token"));
    visit("/orders");
    expect(await screen.findByText(/Your session has ended/)).toBeInTheDocument();
  });

  it("ends by logging out", async () => {
    signIn(shop);
    shop.on("POST /api/v1/auth/logout", () => json(204, null));
    visit("/");
    await userEvent.click(await button(/Log out/));
    expect(await screen.findByRole("link", { name: "Log in" })).toBeInTheDocument();
    expect(shop.calls("POST /api/v1/auth/logout")).toHaveLength(1);
  });
});

describe("opening an account", () => {
  async function register(name: string, email: string, password: string) {
    const user = userEvent.setup();
    if (name) await user.type(await screen.findByLabelText("Name"), name);
    if (email) await user.type(screen.getByLabelText("E-mail"), email);
    if (password) await user.type(screen.getByLabelText("Password"), password);
    await user.click(await button("Open an account"));
  }

  it("logs in as well", async () => {
    shop.on("POST /api/v1/auth/register", () => json(201, {}));
    shop.on("POST /api/v1/auth/login", () => json(200, tokens()));
    visit("/register");
    await register("Ada Lovelace", "ada@example.test", "correct horse");
    expect(await button(/Log out/)).toBeInTheDocument();
    expect(shop.calls("POST /api/v1/auth/register")[0]?.body).toEqual({
      name: "Ada Lovelace",
      email: "ada@example.test",
      password: "correct horse",
    });
  });

  it("asks for what is missing", async () => {
    visit("/register");
    await register("", "ada", "short");
    expect(screen.getByLabelText("Name")).toHaveFocus();
    expect(screen.getByLabelText("Password")).toHaveAccessibleDescription(/Use 8 to 128/);
    expect(shop.calls("POST /api/v1/auth/register")).toEqual([]);
    await expectAccessible();
  });

  it("says that the address is taken, at its field", async () => {
    shop.on("POST /api/v1/auth/register", () => problem(409, "email-taken"));
    visit("/register");
    await register("Ada", "ada@example.test", "correct horse");
    expect(await screen.findByRole("alert")).toHaveTextContent("There is an account");
    expect(screen.getByLabelText("E-mail")).toBeInvalid();
  });

  it("logs in when the shop says it can", async () => {
    shop.on("POST /api/v1/auth/register", () => json(201, {}));
    shop.sequence(
      "POST /api/v1/auth/login",
      () => problem(503, "dependency-unavailable", {}, { "retry-after": "0" }),
      () => json(200, tokens()),
    );
    visit("/register");
    await register("Ada", "ada@example.test", "correct horse");
    expect(await button(/Log out/)).toBeInTheDocument();
    expect(shop.calls("POST /api/v1/auth/register")).toHaveLength(1);
    expect(shop.calls("POST /api/v1/auth/login")).toHaveLength(2);
  });

  it("goes on to the log-in if the shop stays unable to", async () => {
    shop.on("POST /api/v1/auth/register", () => json(201, {}));
    shop.on("POST /api/v1/auth/login", () =>
      problem(503, "dependency-unavailable", {}, { "retry-after": "0" }),
    );
    visit("/register");
    await register("Ada", "ada@example.test", "correct horse");
    expect(await heading("Log in")).toBeInTheDocument();
    expect(shop.calls("POST /api/v1/auth/login")).toHaveLength(3);
  });

  it("goes on to the log-in if only that failed", async () => {
    shop.on("POST /api/v1/auth/register", () => json(201, {}));
    shop.on("POST /api/v1/auth/login", () => problem(503, "dependency-unavailable"));
    visit("/register");
    await register("Ada", "ada@example.test", "correct horse");
    expect(await heading("Log in")).toBeInTheDocument();
    expect(screen.getByLabelText("E-mail")).toHaveValue("ada@example.test");
  });
});

describe("the cart", () => {
  it("is empty at first", async () => {
    signIn(shop);
    visit("/cart");
    expect(await heading("There is nothing in it yet")).toBeInTheDocument();
    await expectAccessible();
  });

  it("stays on the page when it cannot be read again", async () => {
    signIn(shop);
    shop.sequence(
      "GET /api/v1/cart",
      () => json(200, cart([line(1, 1)]), { etag: '"1"' }),
      () => problem(500, "internal"),
    );
    vi.spyOn(document, "visibilityState", "get").mockReturnValue("visible");
    visit("/cart");
    await screen.findByText("1 item");
    await vi.waitFor(() => {
      window.dispatchEvent(new Event("visibilitychange"));
      expect(shop.calls("GET /api/v1/cart").length).toBeGreaterThan(1);
    }, 10_000);
    expect(screen.getByText("1 item")).toBeInTheDocument();
  });

  it("sets quantities for the state that it shows, once for several clicks", async () => {
    signIn(shop);
    keepCart(line(1, 1), line(2, 1));
    visit("/cart");
    const more = await button(`One more of ${product(2).name}`);
    const user = userEvent.setup();
    await user.click(more);
    await user.click(more);
    expect(await screen.findByText("4 items")).toBeInTheDocument();
    const [sent, ...others] = shop.calls("PUT /api/v1/cart/items/2");
    expect(others).toEqual([]);
    expect(sent?.body).toEqual({ quantity: 3 });
    expect(sent?.headers.get("if-match")).toBe('"1"');
    expect(more).toHaveFocus();
    await expectAccessible();
  });

  it("shows and explains a cart that was changed elsewhere, and changes nothing", async () => {
    signIn(shop);
    const kept = keepCart(line(1, 1), line(2, 1));
    visit("/cart");
    const more = await button(`One more of ${product(2).name}`);
    kept.elsewhere(line(2, 5), line(3, 1));
    await userEvent.click(more);
    const alert = await screen.findByRole("alert");
    expect(alert).toHaveTextContent("Your cart was changed in another window");
    expect(alert).toHaveTextContent(`${product(2).name}: 5 instead of 1`);
    expect(alert).toHaveTextContent(`${product(3).name}: added`);
    expect(alert).toHaveTextContent(`${product(1).name}: taken out`);
    expect(alert).toContainElement(document.activeElement as HTMLElement);
    expect(screen.getByLabelText(`Quantity of ${product(2).name}`)).toHaveValue(5);
    // The next change is one of the cart that is shown now.
    await userEvent.click(await button(`One more of ${product(2).name}`));
    expect(await screen.findByText("7 items")).toBeInTheDocument();
    expect(screen.queryByRole("alert")).toBeNull();
  });

  it("gives a product up and takes it back, and keeps the focus on the page", async () => {
    signIn(shop);
    keepCart(line(1, 2), line(2, 1));
    visit("/cart");
    await userEvent.click(await button(`Take ${product(1).name} out of the cart`));
    expect(await screen.findByText(/is out of the cart/)).toBeInTheDocument();
    expect(await heading("Your cart")).toHaveFocus();
    expect(screen.getByText("1 item")).toBeInTheDocument();
    await userEvent.click(await button("Put it back"));
    expect(await screen.findByText("3 items")).toBeInTheDocument();
  });

  it("does not lose a click when somebody goes on at once", async () => {
    signIn(shop);
    keepCart(line(1, 1));
    visit("/cart");
    const user = userEvent.setup();
    await user.click(await button(`One more of ${product(1).name}`));
    await user.click(screen.getByRole("link", { name: "Check out" }));
    expect(await button("Pay €20.02")).toBeInTheDocument();
  });

  it("is emptied only after a question", async () => {
    signIn(shop);
    keepCart(line(1, 1));
    shop.on("DELETE /api/v1/cart", () => {
      shop.on("GET /api/v1/cart", () => json(200, cart([]), { etag: '"2"' }));
      return json(204, null);
    });
    visit("/cart");
    await userEvent.click(await button("Empty the cart"));
    const dialog = await screen.findByRole("dialog", { name: "Empty the cart?" });
    await userEvent.click(within(dialog).getByRole("button", { name: "Empty it" }));
    expect(await heading("There is nothing in it yet")).toBeInTheDocument();
    expect(shop.calls("DELETE /api/v1/cart")[0]?.headers.get("if-match")).toBe('"1"');
  });
});

describe("the checkout", () => {
  const key = (index: number) =>
    shop.calls("POST /api/v1/checkout")[index]?.headers.get("idempotency-key");

  beforeEach(() => {
    signIn(shop);
    keepCart(line(7, 2));
    shop.on(`GET /api/v1/orders/${order().id}`, () => json(200, order()));
  });

  it("pays and shows the order", async () => {
    shop.on("POST /api/v1/checkout", () => json(201, order()));
    visit("/checkout");
    await button("Pay €20.14");
    await expectAccessible();
    await userEvent.click(await button("Pay €20.14"));
    expect(await heading("Thank you. It is yours.")).toBeInTheDocument();
    expect(shop.calls("POST /api/v1/checkout")[0]?.body).toEqual({
      payment_method: "pm_card_visa",
    });
    await expectAccessible();
  });

  it("says that a card was declined, and takes another under another key", async () => {
    shop.sequence(
      "POST /api/v1/checkout",
      () => problem(402, "payment-declined", { code: "insufficient_funds", order_id: order().id }),
      () => json(201, order()),
    );
    visit("/checkout");
    await userEvent.click(await screen.findByRole("radio", { name: /without money/ }));
    await userEvent.click(await button(/Pay/));
    const alert = await screen.findByRole("alert");
    expect(alert).toHaveTextContent("not enough money");
    expect(within(alert).getByRole("link")).toHaveAttribute("href", `/orders/${order().id}`);
    await userEvent.click(screen.getByRole("radio", { name: /Visa Accepted/ }));
    await userEvent.click(await button(/Pay/));
    await heading("Thank you. It is yours.");
    expect(key(0)).not.toBe(key(1));
  });

  it("goes on after a reload with the key and the card that it began with", async () => {
    shop.on("POST /api/v1/checkout", () => problem(500, "internal"));
    const first = visit("/checkout");
    await userEvent.click(await button(/Pay/));
    expect(await screen.findByRole("alert")).toHaveTextContent("our fault");
    first.unmount();

    visit("/checkout");
    expect(await screen.findByText(/we do not know yet how it ended/)).toBeInTheDocument();
    expect(screen.getByText("Paying with Visa")).toBeInTheDocument();
    expect(screen.queryByRole("radio")).toBeNull();
    await expectAccessible();
    shop.on("POST /api/v1/checkout", () => json(201, order()));
    await userEvent.click(await button("Go on with this purchase"));
    await heading("Thank you. It is yours.");
    expect(key(0)).toBe(key(1));
  });

  it("offers to go on even if the cart is empty by now", async () => {
    shop.on("POST /api/v1/checkout", () => problem(500, "internal"));
    const first = visit("/checkout");
    await userEvent.click(await button(/Pay/));
    await screen.findByRole("alert");
    first.unmount();
    keepCart();
    visit("/checkout");
    expect(await button("Go on with this purchase")).toBeInTheDocument();
  });

  it("takes what there is when there is not enough", async () => {
    shop.on("POST /api/v1/checkout", () =>
      problem(409, "out-of-stock", {
        shortages: [{ product_id: 7, requested: 2, available: 1 }],
      }),
    );
    visit("/checkout");
    await userEvent.click(await button(/Pay/));
    expect(await screen.findByRole("alert")).toHaveTextContent("1 left, you want 2");
    await userEvent.click(await button("Take what there is"));
    expect(await button("Pay €10.07")).toBeInTheDocument();
  });

  it("pays once however often one clicks", async () => {
    let answer: (response: Response) => void = vi.fn();
    shop.on("POST /api/v1/checkout", () => new Promise((resolve) => (answer = resolve)));
    visit("/checkout");
    const user = userEvent.setup();
    await user.click(await button(/Pay €/));
    await user.click(await button("Paying…"));
    answer(json(201, order()));
    await heading("Thank you. It is yours.");
    expect(shop.calls("POST /api/v1/checkout")).toHaveLength(1);
  });

  it("has nothing to do for an empty cart", async () => {
    keepCart();
    visit("/checkout");
    expect(await heading("There is nothing to pay for")).toBeInTheDocument();
  });
});

describe("orders", () => {
  beforeEach(() => {
    signIn(shop);
  });

  it("are listed", async () => {
    const failed = order({ id: order().id.replace("0f", "1f"), status: "payment_failed" });
    shop.on("GET /api/v1/orders", () => json(200, page([order(), failed], 11, 1, 10)));
    visit("/orders");
    expect(await screen.findAllByRole("link", { name: "Order of 25 Nov 2026" })).toHaveLength(2);
    expect(screen.getByText("Not paid")).toBeInTheDocument();
    expect(screen.getByRole("link", { name: "Page 2" })).toHaveAttribute("href", "/orders?page=2");
    await expectAccessible();
  });

  it("may be none yet", async () => {
    shop.on("GET /api/v1/orders", () => json(200, page([])));
    visit("/orders");
    expect(await heading("You have not bought anything yet")).toBeInTheDocument();
  });

  it("say why one was not paid", async () => {
    const failed = order({ status: "payment_failed", failure_code: "expired_card", paid_at: null });
    shop.on(`GET /api/v1/orders/${failed.id}`, () => json(200, failed));
    visit(`/orders/${failed.id}`);
    expect(await screen.findByRole("alert")).toHaveTextContent("It has expired.");
    await expectAccessible();
  });

  it("are followed while the payment is pending", async () => {
    vi.useFakeTimers({ shouldAdvanceTime: true, toFake: ["setInterval", "clearInterval"] });
    shop.sequence(
      `GET /api/v1/orders/${order().id}`,
      () => json(200, order({ status: "pending", paid_at: null, payment_reference: null })),
      () => json(200, order()),
    );
    visit(`/orders/${order().id}`);
    expect(await screen.findByText("Payment pending")).toBeInTheDocument();
    await vi.advanceTimersByTimeAsync(3000);
    expect(await screen.findByText("Paid", { selector: ".status" })).toBeInTheDocument();
    vi.useRealTimers();
  });

  it("of others are not there", async () => {
    shop.on("GET /api/v1/orders/none", () => problem(404, "order-not-found"));
    visit("/orders/none");
    expect(await heading("No such order")).toBeInTheDocument();
  });
});

describe("the shop as a whole", () => {
  it("has a page for addresses that lead nowhere", async () => {
    visit("/nowhere");
    expect(await heading("There is nothing here")).toBeInTheDocument();
    await expectAccessible();
  });

  it("moves the focus and announces the page on every change", async () => {
    visit("/");
    await userEvent.click(await screen.findByRole("link", { name: "Log in" }));
    await heading("Log in");
    expect(screen.getByRole("main")).toHaveFocus();
    expect(document.title).toBe("Log in · Triptych");
    expect(document.getElementById("announcer")).toHaveTextContent("Log in");
  });

  it("says that there is no network, for as long as that is so", async () => {
    const online = vi.spyOn(navigator, "onLine", "get").mockReturnValue(false);
    visit("/");
    expect(await screen.findByText(/You are offline\. What you see/)).toBeInTheDocument();
    online.mockReturnValue(true);
    window.dispatchEvent(new Event("online"));
    await waitFor(() => {
      expect(screen.queryByText(/You are offline/)).toBeNull();
    });
  });

  it("starts with a way past the header", async () => {
    visit("/");
    await userEvent.tab();
    expect(document.activeElement).toHaveTextContent("Skip to the content");
    expect(document.activeElement).toHaveAttribute("href", "#content");
  });
});
