package triptych.payments.checkout;

/** A final answer of the payment gateway. */
public sealed interface Charge {
  /** The money has moved; {@code reference} is the gateway's id of the payment. */
  record Paid(String reference) implements Charge {}

  /** The gateway refused, and no repetition will change that. */
  record Declined(String code) implements Charge {}
}
