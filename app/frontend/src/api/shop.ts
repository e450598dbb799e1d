import { send } from "./client";
import type { Cart, Order, Page, Product, User } from "./contract";
import type { Session } from "./session";

/** The cart with the tag of its state, which every change has to name. */
export interface TaggedCart {
  cart: Cart;
  etag: string;
}

/** The operations of the contract that pages use. */
export class Shop {
  constructor(readonly session: Session) {}

  async products(query: string, page: number, size: number, signal?: AbortSignal) {
    const search = new URLSearchParams({ page: String(page), page_size: String(size) });
    if (query) search.set("q", query);
    return (await send<Page<Product>>(`/api/v1/products?${search}`, { signal })).data;
  }

  async product(id: number, signal?: AbortSignal): Promise<Product> {
    return (await send<Product>(`/api/v1/products/${id}`, { signal })).data;
  }

  async register(email: string, password: string, name: string): Promise<User> {
    const body = { email, password, name };
    return (await send<User>("/api/v1/auth/register", { method: "POST", body })).data;
  }

  async cart(signal?: AbortSignal): Promise<TaggedCart> {
    const { data, headers } = await this.session.send<Cart>("/api/v1/cart", { signal });
    return { cart: data, etag: headers.get("etag") ?? "" };
  }

  async setQuantity(productId: number, quantity: number, etag: string): Promise<TaggedCart> {
    const { data, headers } = await this.session.send<Cart>(`/api/v1/cart/items/${productId}`, {
      method: "PUT",
      body: { quantity },
      headers: ifMatch(etag),
    });
    return { cart: data, etag: headers.get("etag") ?? "" };
  }

  async removeItem(productId: number, etag: string): Promise<void> {
    const path = `/api/v1/cart/items/${productId}`;
    await this.session.send(path, { method: "DELETE", headers: ifMatch(etag) });
  }

  async clearCart(etag: string): Promise<void> {
    await this.session.send("/api/v1/cart", { method: "DELETE", headers: ifMatch(etag) });
  }

  async checkOut(key: string, card: string): Promise<Order> {
    const { data } = await this.session.send<Order>("/api/v1/checkout", {
      method: "POST",
      body: { payment_method: card },
      headers: { "idempotency-key": key },
    });
    return data;
  }

  async orders(page: number, size: number, signal?: AbortSignal): Promise<Page<Order>> {
    const path = `/api/v1/orders?page=${page}&page_size=${size}`;
    return (await this.session.send<Page<Order>>(path, { signal })).data;
  }

  async order(id: string, signal?: AbortSignal): Promise<Order> {
    const path = `/api/v1/orders/${encodeURIComponent(id)}`;
    return (await this.session.send<Order>(path, { signal })).data;
  }
}

function ifMatch(etag: string): Record<string, string> {
  return etag ? { "if-match": etag } : {};
}
