package triptych.payments.orders;

import java.util.Locale;

/** Where an order stands. Customers see all but the first. */
public enum OrderStatus {
  /** Its stock is being asked for; it may still go without a trace. */
  RESERVING,
  /** It has its stock and waits for its payment. */
  PENDING,
  /** Paid, for good. */
  PAID,
  /** Declined, for good. */
  PAYMENT_FAILED;

  /** Returns the name in the contract and in the database. */
  public String text() {
    return name().toLowerCase(Locale.ROOT);
  }

  static OrderStatus of(String text) {
    return valueOf(text.toUpperCase(Locale.ROOT));
  }
}
