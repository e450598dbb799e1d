import { type Fault, ShopError } from "./api/client";
import { LIMITS } from "./api/contract";
import { count } from "./format";

/** What a person is told: what happened, and what to do about it. */
export interface Explanation {
  title: string;
  text: string;
}

const WORDS: Record<Fault, Explanation> = {
  "no-answer": {
    title: "No connection to the shop",
    text: "Nothing came back. Check your connection, then try again.",
  },
  unreadable: {
    title: "The shop's answer makes no sense",
    text: "Something between you and the shop answered in its place. Try again in a moment.",
  },
  "dependency-unavailable": {
    title: "Part of the shop is resting",
    text: "A part of the shop is not answering at present. Try again in a moment.",
  },
  "not-ready": {
    title: "The shop is just opening",
    text: "It is starting up and will be here in a moment.",
  },
  internal: {
    title: "That went wrong, and it is our fault",
    text: "The shop could not do this. Try again; if it stays so, tell us the reference.",
  },
  "authentication-required": {
    title: "Please log in again",
    text: "The shop no longer knows this session.",
  },
  "invalid-refresh-token": {
    title: "Please log in again",
    text: "Your session has ended.",
  },
  "invalid-credentials": {
    title: "That address and password do not match",
    text: "Check both, and mind upper and lower case in the password.",
  },
  "too-many-attempts": {
    title: "Too many attempts",
    text: "There were too many failed log-ins for this address. Wait a minute, then try again.",
  },
  "email-taken": {
    title: "There is an account with this address",
    text: "Log in instead, or use another address.",
  },
  validation: {
    title: "Something in there does not fit",
    text: "Check what you entered.",
  },
  "not-found": {
    title: "There is nothing here",
    text: "The address leads nowhere in this shop.",
  },
  "product-not-found": {
    title: "We do not have this product",
    text: "It may have left the catalogue, or the address is mistyped.",
  },
  "order-not-found": {
    title: "No such order",
    text: "None of your orders has this number.",
  },
  "cart-empty": {
    title: "Your cart is empty",
    text: "There is nothing to pay for. It may have been emptied, or bought, in another window.",
  },
  "cart-full": {
    title: "Your cart is full",
    text: "It holds 50 different products and no more. Take something out, or check out first.",
  },
  "cart-changed": {
    title: "Your cart has changed",
    text: "It was changed in another window. Your last change was not made.",
  },
  "out-of-stock": {
    title: "Not enough on the shelf",
    text: "There are fewer left than you want to buy. Nothing was charged.",
  },
  "payment-declined": {
    title: "The card was declined",
    text: "Nothing was charged, and your cart is as it was. Try another card.",
  },
  "checkout-in-progress": {
    title: "Your purchase is under way",
    text: "The shop is still working on it.",
  },
  "idempotency-key-reused": {
    title: "This purchase was begun with another card",
    text: "Look at your orders before you try again: it may be there already.",
  },
  "payment-gateway-error": {
    title: "The payment service failed",
    text: "Your order is kept and your payment not settled yet. You are never charged twice.",
  },
  "payment-gateway-unavailable": {
    title: "The payment service cannot be reached",
    text: "Your order is kept and your payment not settled yet. You are never charged twice.",
  },
  "payment-gateway-timeout": {
    title: "The payment service is too slow",
    text: "Your order is kept and your payment not settled yet. You are never charged twice.",
  },
  "malformed-json": {
    title: "The shop could not read that",
    text: "This page may be out of date. Reload it and try again.",
  },
  "method-not-allowed": {
    title: "The shop does not do that here",
    text: "This page may be out of date. Reload it and try again.",
  },
  "unsupported-media-type": {
    title: "The shop could not read that",
    text: "This page may be out of date. Reload it and try again.",
  },
  "body-too-large": {
    title: "That is too much at once",
    text: "Shorten what you entered and try again.",
  },
};

/** Returns what to tell a person about an error. */
export function explain(error: unknown): Explanation {
  if (!(error instanceof ShopError)) return WORDS.internal;
  const words = WORDS[error.fault];
  const { problem, retryAfterS } = error;
  if (error.fault === "dependency-unavailable" && problem.dependency) {
    const text = `The ${problem.dependency} is not answering. Try again in a moment.`;
    return { ...words, text };
  }
  if (error.fault === "too-many-attempts" && retryAfterS !== null) {
    const wait = count(retryAfterS, "second");
    const text = `There were too many failed log-ins for this address. Try again in ${wait}.`;
    return { ...words, text };
  }
  if (error.fault === "payment-declined") {
    const reason = declineReason(problem.code);
    return { ...words, text: `${reason} Nothing was charged, and your cart is as it was.` };
  }
  return words;
}

const DECLINES: Record<string, string> = {
  insufficient_funds: "There is not enough money on it.",
  expired_card: "It has expired.",
  incorrect_cvc: "Its security code is wrong.",
  lost_card: "It was reported as lost.",
  stolen_card: "It was reported as stolen.",
  requires_action: "Its bank asks for a step that this shop does not offer.",
  processing_error: "Its bank could not process the payment.",
};

/** Returns the payment service's reason in words. */
export function declineReason(code: string | null | undefined): string {
  return DECLINES[code ?? ""] ?? "Its bank refused the payment.";
}

/** Returns messages of ours for the fields that the shop found fault with. */
export function fieldFaults(error: unknown): Record<string, string> {
  if (!(error instanceof ShopError)) return {};
  if (error.fault === "email-taken") return { email: "An account has this address already." };
  const faults = (error.problem.errors ?? []).filter((fault) => fault.in === "body");
  return Object.fromEntries(
    faults.map(({ field, message }) => [
      field,
      field in FIELD_WORDS ? FIELD_WORDS[field as keyof typeof FIELD_WORDS] : message,
    ]),
  );
}

/** What each field has to look like, said before and after the shop is asked. */
export const FIELD_WORDS = {
  email: "Enter an e-mail address, such as ada@example.test.",
  password: `Use ${LIMITS.password.min} to ${LIMITS.password.max} characters.`,
  name: `Enter your name, up to ${LIMITS.name} characters.`,
};
