import { ShopError, isFault, sleep } from "./api/client";
import type { Order } from "./api/contract";
import type { Shop } from "./api/shop";

/** A purchase that was begun and whose outcome this browser has not seen yet. */
export interface OpenPurchase {
  /** The Idempotency-Key: whatever happens, this purchase is made once. */
  key: string;
  card: string;
  begunAt: string;
  /** The order that it has become, once the shop has named it. */
  orderId?: string;
}

export type Outcome =
  | { kind: "paid"; order: Order }
  /** Final: nothing was bought. The next attempt is another purchase. */
  | { kind: "refused"; error: ShopError }
  /** Not known yet: asking again with the same key is the one right thing to do. */
  | { kind: "unsettled"; error: ShopError };

const ATTEMPTS = 4;
const LONGEST_WAIT_S = 8;
/** The shop settles what nobody asks for again long before this. */
const KEPT_MS = 24 * 60 * 60 * 1000;

/** Faults after which it is certain that nothing was bought under the key. */
const FINAL = [
  "payment-declined",
  "cart-empty",
  "out-of-stock",
  "validation",
  "idempotency-key-reused",
  "malformed-json",
  "body-too-large",
  "unsupported-media-type",
] as const;

/**
 * The open purchase of one account, kept in the browser's storage: a reload, a crash or a second
 * tab goes on with the same key instead of buying a second time.
 */
export class PurchaseBook {
  readonly #key: string;

  constructor(
    private readonly storage: Storage,
    userId: string,
  ) {
    this.#key = `triptych.purchase.${userId}`;
  }

  /** Returns the open purchase, if there is one. */
  open(): OpenPurchase | null {
    try {
      const found = JSON.parse(
        this.storage.getItem(this.#key) ?? "null",
      ) as Partial<OpenPurchase> | null;
      if (!found?.key || !found.card || !found.begunAt) return null;
      const age = Date.now() - Date.parse(found.begunAt);
      return age < KEPT_MS ? (found as OpenPurchase) : null;
    } catch {
      return null;
    }
  }

  /** Returns the open purchase, or begins one. */
  begin(card: string): OpenPurchase {
    const open = this.open();
    if (open) return open;
    const begun = { key: randomKey(), card, begunAt: new Date().toISOString() };
    this.storage.setItem(this.#key, JSON.stringify(begun));
    return begun;
  }

  /** Notes which order an open purchase has become. */
  name(purchase: OpenPurchase, orderId: string): void {
    if (this.open()?.key !== purchase.key) return;
    this.storage.setItem(this.#key, JSON.stringify({ ...purchase, orderId }));
  }

  /** Forgets a purchase whose outcome is known. */
  close(purchase: OpenPurchase): void {
    if (this.open()?.key === purchase.key) this.storage.removeItem(this.#key);
  }
}

/** Returns 128 random bits; `crypto.randomUUID` would want a secure origin. */
function randomKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Checks out, repeating with the same key while the outcome is open, a few times at most.
 *
 * `onWait` hears of each repetition before its pause.
 */
export async function settle(
  shop: Pick<Shop, "checkOut">,
  book: PurchaseBook,
  purchase: OpenPurchase,
  onWait: (error: ShopError) => void = () => undefined,
  pause: (seconds: number) => Promise<void> = sleep,
): Promise<Outcome> {
  for (let attempt = 1; ; attempt++) {
    try {
      const order = await shop.checkOut(purchase.key, purchase.card);
      book.close(purchase);
      return { kind: "paid", order };
    } catch (error) {
      if (!(error instanceof ShopError)) throw error;
      if (isFault(error, ...FINAL)) {
        book.close(purchase);
        return { kind: "refused", error };
      }
      if (error.problem.order_id) book.name(purchase, error.problem.order_id);
      const again = error.passing || isFault(error, "checkout-in-progress");
      if (!again || attempt === ATTEMPTS) return { kind: "unsettled", error };
      onWait(error);
      await pause(Math.min(error.retryAfterS ?? 2 ** (attempt - 1), LONGEST_WAIT_S));
    }
  }
}
