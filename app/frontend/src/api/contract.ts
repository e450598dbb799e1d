/** What the shop's contract says, as types. The contract is app/contract/openapi.yaml. */

export interface Money {
  /** In the currency's minor unit. */
  amount: number;
  currency: string;
}

export interface Product {
  id: number;
  sku: string;
  name: string;
  description: string;
  category: string;
  price: Money;
  stock: number;
}

export interface Page<Item> {
  items: Item[];
  /** Of all matches, not of this page. */
  total: number;
  page: number;
  page_size: number;
}

export interface Line {
  product_id: number;
  name: string;
  unit_price: Money;
  quantity: number;
  line_total: Money;
}

export interface Cart {
  items: Line[];
  total: Money;
}

export interface Order {
  id: string;
  status: "pending" | "paid" | "payment_failed";
  items: Line[];
  total: Money;
  payment_method: string;
  payment_reference: string | null;
  failure_code: string | null;
  created_at: string;
  paid_at: string | null;
}

export interface User {
  id: string;
  email: string;
  name: string;
  created_at: string;
}

export interface TokenPair {
  access_token: string;
  token_type: "bearer";
  expires_in: number;
  refresh_token: string;
  refresh_expires_in: number;
}

export interface FieldError {
  in: "body" | "path" | "query" | "header";
  field: string;
  message: string;
}

export interface Shortage {
  product_id: number;
  requested: number;
  available: number;
}

/** Limits of the contract that a person meets. */
export const LIMITS = {
  quantity: 99,
  query: 100,
  password: { min: 8, max: 128 },
  name: 100,
  email: 254,
  page: 100_000,
} as const;

/** Every problem type there is, without the prefix. */
export const PROBLEM_TYPES = [
  "malformed-json",
  "authentication-required",
  "invalid-credentials",
  "invalid-refresh-token",
  "payment-declined",
  "not-found",
  "product-not-found",
  "order-not-found",
  "method-not-allowed",
  "email-taken",
  "cart-empty",
  "cart-full",
  "out-of-stock",
  "checkout-in-progress",
  "cart-changed",
  "body-too-large",
  "unsupported-media-type",
  "validation",
  "idempotency-key-reused",
  "too-many-attempts",
  "internal",
  "payment-gateway-error",
  "dependency-unavailable",
  "not-ready",
  "payment-gateway-unavailable",
  "payment-gateway-timeout",
] as const;

export type ProblemType = (typeof PROBLEM_TYPES)[number];

/** Problem details (RFC 9457) with the members that some types add. */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  instance: string;
  request_id: string;
  errors?: FieldError[];
  dependency?: string;
  shortages?: Shortage[];
  order_id?: string;
  code?: string;
}
