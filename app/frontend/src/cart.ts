import type { Cart } from "./api/contract";
import { formatMoney } from "./format";

/** One way in which a cart differs from how it was shown. */
export interface CartDifference {
  productId: number;
  text: string;
}

/** Returns how `now` differs from what was `seen`, in words. */
export function differences(seen: Cart, now: Cart): CartDifference[] {
  const before = new Map(seen.items.map((line) => [line.product_id, line]));
  const after = new Map(now.items.map((line) => [line.product_id, line]));
  const found: CartDifference[] = [];
  for (const [productId, line] of after) {
    const old = before.get(productId);
    if (!old) {
      found.push({ productId, text: `${line.name}: added, ${line.quantity} of it` });
      continue;
    }
    if (old.quantity !== line.quantity) {
      found.push({ productId, text: `${line.name}: ${line.quantity} instead of ${old.quantity}` });
    }
    if (old.unit_price.amount !== line.unit_price.amount) {
      const [was, is] = [formatMoney(old.unit_price), formatMoney(line.unit_price)];
      found.push({ productId, text: `${line.name}: costs ${is} now, was ${was}` });
    }
  }
  for (const [productId, line] of before) {
    if (!after.has(productId)) found.push({ productId, text: `${line.name}: taken out` });
  }
  return found;
}

/** Returns how many things a cart holds. */
export function itemCount(cart: Cart | undefined): number {
  return (cart?.items ?? []).reduce((sum, line) => sum + line.quantity, 0);
}
