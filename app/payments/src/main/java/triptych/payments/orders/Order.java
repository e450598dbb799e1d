package triptych.payments.orders;

import java.time.Instant;
import java.util.List;
import java.util.UUID;

/** An order with its lines, in the order of product ids; held while someone works on it. */
public record Order(
    UUID id,
    UUID userId,
    OrderStatus status,
    long totalMinor,
    String currency,
    String paymentMethod,
    String paymentReference,
    String failureCode,
    Instant createdAt,
    Instant paidAt,
    boolean held,
    List<OrderLine> lines) {

  /** Returns a new order, of which only the quantities are known. */
  public static Order reserving(
      UUID id,
      UUID userId,
      String currency,
      String paymentMethod,
      Instant createdAt,
      List<OrderLine> lines) {
    return new Order(
        id,
        userId,
        OrderStatus.RESERVING,
        0,
        currency,
        paymentMethod,
        null,
        null,
        createdAt,
        null,
        true,
        lines);
  }

  /** Returns the order with prices, waiting for its payment. */
  public Order pending(List<OrderLine> priced) {
    return new Order(
        id,
        userId,
        OrderStatus.PENDING,
        priced.stream().mapToLong(OrderLine::totalMinor).sum(),
        currency,
        paymentMethod,
        null,
        null,
        createdAt,
        null,
        true,
        priced);
  }

  /** Returns the order paid. */
  public Order paid(String reference, Instant at) {
    return finished(OrderStatus.PAID, reference, null, at);
  }

  /** Returns the order with its payment declined. */
  public Order failed(String code) {
    return finished(OrderStatus.PAYMENT_FAILED, null, code, null);
  }

  private Order finished(OrderStatus last, String reference, String code, Instant at) {
    return new Order(
        id,
        userId,
        last,
        totalMinor,
        currency,
        paymentMethod,
        reference,
        code,
        createdAt,
        at,
        true,
        lines);
  }
}
