import { QueryClientProvider } from "@tanstack/react-query";
import { render } from "@testing-library/react";
import axe from "axe-core";
import { MemoryRouter } from "react-router";
import { expect, vi } from "vitest";

import { App } from "../src/App";
import type { Cart, Line, Order, Product } from "../src/api/contract";
import { Session } from "../src/api/session";
import { Shop } from "../src/api/shop";
import { ShopProvider } from "../src/context";
import { createQueryClient } from "../src/queries";
import { StorageProvider } from "../src/storage";

export interface Sent {
  method: string;
  path: string;
  headers: Headers;
  body: unknown;
}

type Handler = (request: Sent) => Response | Promise<Response>;

/** The shop as the pages see it: each path answers what a test says, and what was sent is kept. */
export class FakeShop {
  readonly sent: Sent[] = [];
  readonly #handlers = new Map<string, Handler>();

  constructor() {
    vi.stubGlobal("fetch", async (path: string, init: RequestInit) => {
      const request = {
        method: init.method ?? "GET",
        path,
        headers: new Headers(init.headers),
        body: typeof init.body === "string" ? (JSON.parse(init.body) as unknown) : undefined,
      };
      this.sent.push(request);
      const [bare] = path.split("?");
      const handler = this.#handlers.get(`${request.method} ${bare}`);
      return handler ? await handler(request) : problem(404, "not-found");
    });
    this.on("GET /api/v1/products", () => json(200, page([])));
    this.on("GET /api/v1/cart", () => json(200, cart([]), { etag: '"0"' }));
  }

  on(call: string, handler: Handler): void {
    this.#handlers.set(call, handler);
  }

  /** Answers one after the other, the last for good. */
  sequence(call: string, ...handlers: Handler[]): void {
    let next = 0;
    this.on(call, (request) => {
      const handler = handlers[Math.min(next++, handlers.length - 1)];
      if (!handler) throw new Error("no handler");
      return handler(request);
    });
  }

  calls(call: string): Sent[] {
    return this.sent.filter(({ method, path }) => `${method} ${path.split("?")[0]}` === call);
  }
}

export function json(status: number, body: unknown, headers: Record<string, string> = {}) {
  return new Response(status === 204 ? null : JSON.stringify(body), { status, headers });
}

export function problem(
  status: number,
  slug: string,
  more: Record<string, unknown> = {},
  headers: Record<string, string> = {},
) {
  const type = `urn:triptych:problem:${slug}`;
  const body = { type, title: slug, status, detail: slug, instance: "/", request_id: "r-1" };
  return json(status, { ...body, ...more }, headers);
}

/** What fetch does when there is no network. */
export function noNetwork(): never {
  throw new TypeError("Failed to fetch");
}

export const USER_ID = "7d3c1f52-6a4e-4b5c-9a53-5e0c7c3f6a51";

/** A token pair; the access token's claims name the user. */
export function tokens(name = "1", userId = USER_ID) {
  return {
    access_token: `e30.${btoa(JSON.stringify({ sub: userId, n: name }))}.c2ln`,
    token_type: "bearer",
    expires_in: 900,
    refresh_token: name.padEnd(43, "x"),
    refresh_expires_in: 1_209_600,
  };
}

/** A session whose access token has run out. */
export function storedSession(name = "0", goodUntil = 0, userId = USER_ID) {
  const { access_token: accessToken, refresh_token: refreshToken } = tokens(name, userId);
  return { refreshToken, accessToken, goodUntil, email: "ada@example.test", userId };
}

/** Leaves in the storage what somebody has there who logged in earlier. */
export function signIn(shop: FakeShop): void {
  localStorage.setItem("triptych.session", JSON.stringify(storedSession()));
  shop.on("POST /api/v1/auth/refresh", () => json(200, tokens()));
}

export function product(id: number, more: Partial<Product> = {}): Product {
  return {
    id,
    sku: `KIT-${id}`,
    name: `Rowan Simple Copper Kettle ${id}`,
    description: "Kettle in sand copper.",
    category: "Kitchen",
    price: { amount: 1000 + id, currency: "EUR" },
    stock: 500,
    ...more,
  };
}

export function page<Item>(items: Item[], total = items.length, number = 1, size = 24) {
  return { items, total, page: number, page_size: size };
}

export function line(id: number, quantity: number): Line {
  const { name, price } = product(id);
  const total = { ...price, amount: price.amount * quantity };
  return { product_id: id, name, unit_price: price, quantity, line_total: total };
}

export function cart(items: Line[]): Cart {
  const amount = items.reduce((sum, { line_total }) => sum + line_total.amount, 0);
  return { items, total: { amount, currency: "EUR" } };
}

export function order(more: Partial<Order> = {}): Order {
  const items = [line(7, 2)];
  return {
    id: "0f6b3f0e-3c1c-4f6e-9a53-5e0c7c3f6a51",
    status: "paid",
    items,
    total: cart(items).total,
    payment_method: "pm_card_visa",
    payment_reference: "pi_1",
    failure_code: null,
    created_at: "2026-11-25T10:00:00Z",
    paid_at: "2026-11-25T10:00:01Z",
    ...more,
  };
}

/** Shows the shop's pages at a path. */
export function visit(path: string) {
  const client = createQueryClient();
  const retries = client.getDefaultOptions();
  client.setDefaultOptions({ ...retries, queries: { ...retries.queries, retryDelay: 1 } });
  return render(
    <StorageProvider value={localStorage}>
      <ShopProvider shop={new Shop(new Session(localStorage))}>
        <QueryClientProvider client={client}>
          <MemoryRouter initialEntries={[path]}>
            <App />
          </MemoryRouter>
        </QueryClientProvider>
      </ShopProvider>
    </StorageProvider>,
  );
}

/** Fails if the page breaks a rule of accessibility that can be checked without layout. */
export async function expectAccessible(): Promise<void> {
  const { violations } = await axe.run(document.body, {
    rules: { "color-contrast": { enabled: false } },
  });
  expect(violations.map(({ id, nodes }) => [id, nodes.map((node) => node.html)])).toEqual([]);
}
