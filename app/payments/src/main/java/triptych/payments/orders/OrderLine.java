package triptych.payments.orders;

/**
 * One product of an order. Name and price, in the currency's minor unit, are those of the
 * reservation: null and 0 before it.
 */
public record OrderLine(int productId, String name, long unitPriceMinor, int quantity) {
  /** Returns a line that has no price yet. */
  public static OrderLine asked(int productId, int quantity) {
    return new OrderLine(productId, null, 0, quantity);
  }

  /** Returns what the line costs. */
  public long totalMinor() {
    return unitPriceMinor * quantity;
  }
}
