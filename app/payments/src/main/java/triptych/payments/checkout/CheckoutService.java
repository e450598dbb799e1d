package triptych.payments.checkout;

import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import org.slf4j.Logger;
import triptych.payments.http.Json;
import triptych.payments.http.Problem;
import triptych.payments.http.ProblemType;
import triptych.payments.orders.Order;
import triptych.payments.orders.OrderLine;
import triptych.payments.orders.OrderRepository;
import triptych.payments.orders.OrderStatus;
import triptych.payments.peers.CartService;
import triptych.payments.peers.ProductsService;
import triptych.payments.peers.Reservation;
import triptych.payments.telemetry.Logs;
import triptych.payments.telemetry.Metrics;

/**
 * Checkout: from cart to paid order, once per idempotency key, as a saga over cart, products, the
 * payment gateway and this service's own orders (see docs/services.md).
 *
 * <p>Each step is recorded before the next begins and can be repeated: the order's id is the name
 * of the reservation, of the gateway's charge and of the cart's purchase. Whoever holds the order's
 * lease goes on from where it stands; a customer's answer comes only when the order is final on
 * disk.
 */
public final class CheckoutService {
  private static final String CURRENCY = "EUR";

  /** How long a repetition waits for the checkout it repeats before it says so. */
  private static final Duration REPLAY_WAIT = Duration.ofSeconds(3);

  private static final Duration REPLAY_POLL = Duration.ofMillis(50);
  private static final int MAX_CODE_LENGTH = 64;

  private static final Logger LOG = Logs.logger("checkout");

  private final OrderRepository orders;
  private final CartService carts;
  private final ProductsService products;
  private final PaymentGateway gateway;
  private final Metrics metrics;
  private final Duration lease;

  /** A paid order; replayed if an earlier request of the same key had paid it. */
  public record Settled(Order order, boolean replayed) {}

  /** Holds orders for {@code lease} while working on them. */
  public CheckoutService(
      OrderRepository orders,
      CartService carts,
      ProductsService products,
      PaymentGateway gateway,
      Metrics metrics,
      Duration lease) {
    this.orders = orders;
    this.carts = carts;
    this.products = products;
    this.gateway = gateway;
    this.metrics = metrics;
    this.lease = lease;
  }

  /**
   * Buys what is in the cart, once per key.
   *
   * @throws Problem cart-empty and out-of-stock, which leave no trace: the key can be used again;
   *     payment-declined, which is final for the key; a gateway's fault, with the order pending
   */
  public Settled checkOut(UUID userId, String key, String paymentMethod) {
    if (orders.findByKey(userId, key).isEmpty()) {
      Optional<Order> begun = begin(userId, key, paymentMethod);
      if (begun.isPresent()) {
        return new Settled(settle(reserve(begun.get())), false);
      }
    }
    return repeat(userId, key, paymentMethod);
  }

  /** Brings an order that the caller holds the lease of to its end, from wherever it stands. */
  Order proceed(Order order) {
    return switch (order.status()) {
      case RESERVING -> settle(reserve(order));
      case PENDING -> settle(order);
      case PAID, PAYMENT_FAILED -> {
        settleDebts(order);
        yield order;
      }
    };
  }

  /**
   * Removes a reserving order that nobody came back for, and gives its stock back if it has any.
   */
  void giveUp(Order order) {
    // Marked first: one who has slept over his lease must not make it pending in between.
    if (orders.giveUp(order.id())) {
      products.release(order.id());
      orders.discard(order.id());
    }
  }

  /** Tells the other service of a final order, and notes that it knows. */
  void settleDebts(Order order) {
    if (order.status() == OrderStatus.PAID) {
      carts.purchase(order.userId(), order.id(), order.lines());
    } else {
      products.release(order.id());
    }
    orders.clearDebts(order.id());
  }

  /** Inserts the order, for the cart's content; nothing if another request of the key was first. */
  private Optional<Order> begin(UUID userId, String key, String paymentMethod) {
    List<OrderLine> asked = carts.read(userId);
    if (asked.isEmpty()) {
      throw Problem.of(ProblemType.CART_EMPTY, "Put something into the cart first.");
    }
    UUID id = UUID.randomUUID();
    Optional<Instant> createdAt =
        orders.insert(id, userId, key, paymentMethod, CURRENCY, asked, lease);
    if (createdAt.isPresent()) {
      return Optional.of(
          Order.reserving(id, userId, CURRENCY, paymentMethod, createdAt.get(), asked));
    }
    // Ours all the same if the insert was done twice, as the first answer got lost.
    return orders.get(id);
  }

  /** Takes the order's stock and makes it pending. */
  private Order reserve(Order order) {
    Reservation reservation;
    try {
      reservation = products.reserve(order.id(), order.lines());
    } catch (Problem unavailable) {
      orders.dropLease(order.id());
      throw unavailable;
    }
    if (reservation instanceof Reservation.Reserved reserved) {
      return orders.fill(order.id(), reserved.lines(), lease)
          ? order.pending(reserved.lines())
          : overtaken(order);
    }
    orders.discard(order.id());
    if (reservation instanceof Reservation.OutOfStock outOfStock) {
      throw outOfStock(outOfStock);
    }
    throw inProgress(); // recovery has just given it up: the next request of the key starts anew
  }

  /** Returns an order that another has brought further, in spite of our lease. */
  private Order overtaken(Order order) {
    Order now = orders.get(order.id()).orElseThrow(CheckoutService::inProgress);
    if (now.status() == OrderStatus.RESERVING) {
      giveUp(now);
      throw inProgress();
    }
    return now;
  }

  /** Answers a key that has an order: with its outcome, or by bringing it to one. */
  private Settled repeat(UUID userId, String key, String paymentMethod) {
    long deadline = System.nanoTime() + REPLAY_WAIT.toNanos();
    while (true) {
      // Gone: the first request has left no trace while this one waited for it.
      Order order = orders.findByKey(userId, key).orElseThrow(CheckoutService::inProgress);
      if (!order.paymentMethod().equals(paymentMethod)) {
        throw Problem.of(
            ProblemType.IDEMPOTENCY_KEY_REUSED,
            "This Idempotency-Key was used with another payment method.");
      }
      if (order.status() == OrderStatus.PAID) {
        return new Settled(order, true);
      }
      if (order.status() == OrderStatus.PAYMENT_FAILED) {
        throw declined(order).header("Idempotent-Replayed", "true");
      }
      if (!order.held() && orders.takeLease(order.id(), lease)) {
        return new Settled(proceed(orders.get(order.id()).orElseThrow()), false);
      }
      if (System.nanoTime() >= deadline) {
        throw inProgress();
      }
      pause();
    }
  }

  /** Pays a pending order and makes it final. */
  private Order settle(Order order) {
    if (order.status() == OrderStatus.PAID) {
      return order;
    }
    if (order.status() == OrderStatus.PAYMENT_FAILED) {
      throw declined(order);
    }
    Charge charge;
    try {
      charge = gateway.charge(order);
    } catch (GatewayFault fault) {
      orders.dropLease(order.id());
      throw fault.asProblem(order.id());
    }
    Optional<Order> changed = finish(order, charge);
    // If not by us, then by another who came to the same end: the charge is one.
    Order last = changed.orElseGet(() -> orders.get(order.id()).orElseThrow());
    if (changed.isPresent()) {
      metrics.orderFinal(last.status().text());
      trySettleDebts(last);
    }
    if (last.status() == OrderStatus.PAYMENT_FAILED) {
      throw declined(last);
    }
    return last;
  }

  private Optional<Order> finish(Order order, Charge charge) {
    if (charge instanceof Charge.Paid paid) {
      return orders
          .markPaid(order.id(), paid.reference())
          .map(at -> order.paid(paid.reference(), at));
    }
    String code = ((Charge.Declined) charge).code();
    String kept = code.substring(0, Math.min(code.length(), MAX_CODE_LENGTH));
    return orders.markFailed(order.id(), kept) ? Optional.of(order.failed(kept)) : Optional.empty();
  }

  // The order stands whatever happens here; what is left undone is recovery's.
  private void trySettleDebts(Order order) {
    try {
      settleDebts(order);
    } catch (Problem problem) {
      LOG.atWarn()
          .addKeyValue("order_id", order.id())
          .addKeyValue("reason", problem.getMessage())
          .log("left to recovery");
      dropLeaseQuietly(order);
    }
  }

  private void dropLeaseQuietly(Order order) {
    try {
      orders.dropLease(order.id());
    } catch (Problem databaseAway) {
      LOG.debug("the lease will run out by itself", databaseAway);
    }
  }

  private static void pause() {
    try {
      Thread.sleep(REPLAY_POLL.toMillis());
    } catch (InterruptedException stopping) {
      Thread.currentThread().interrupt();
      throw inProgress();
    }
  }

  private static Problem declined(Order order) {
    return Problem.of(
            ProblemType.PAYMENT_DECLINED,
            "The payment was declined and nothing was charged; try again with a new"
                + " Idempotency-Key.")
        .member("order_id", order.id().toString())
        .member("code", order.failureCode() == null ? "card_declined" : order.failureCode());
  }

  private static Problem outOfStock(Reservation.OutOfStock answer) {
    Json.Value shortages =
        json -> {
          json.writeStartArray();
          for (Reservation.Shortage shortage : answer.shortages()) {
            json.writeStartObject();
            json.writeNumberField("product_id", shortage.productId());
            json.writeNumberField("requested", shortage.requested());
            json.writeNumberField("available", shortage.available());
            json.writeEndObject();
          }
          json.writeEndArray();
        };
    return Problem.of(ProblemType.OUT_OF_STOCK, "There is less in stock than the cart asks for.")
        .member("shortages", shortages);
  }

  private static Problem inProgress() {
    return Problem.of(
            ProblemType.CHECKOUT_IN_PROGRESS,
            "A checkout with this Idempotency-Key is under way; repeat it shortly.")
        .header("Retry-After", "1");
  }
}
