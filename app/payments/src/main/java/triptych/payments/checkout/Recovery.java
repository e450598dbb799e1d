package triptych.payments.checkout;

import java.time.Duration;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import org.slf4j.Logger;
import triptych.payments.http.Problem;
import triptych.payments.http.ProblemType;
import triptych.payments.http.RequestIds;
import triptych.payments.orders.Order;
import triptych.payments.orders.OrderRepository;
import triptych.payments.orders.OrderStatus;
import triptych.payments.telemetry.Logs;

/**
 * Brings orders to an end whose checkout was cut off, at start and from then on: pending ones are
 * paid, reserving ones go, and other services are told of final ones.
 */
public final class Recovery implements Runnable {
  private static final int BATCH = 20;

  private static final Logger LOG = Logs.logger("recovery");

  private final OrderRepository orders;
  private final CheckoutService checkout;
  private final Duration lease;
  private final Duration interval;

  /** Makes a pass each {@code interval}. */
  public Recovery(
      OrderRepository orders, CheckoutService checkout, Duration lease, Duration interval) {
    this.orders = orders;
    this.checkout = checkout;
    this.lease = lease;
    this.interval = interval;
  }

  /** Makes passes until the thread is interrupted. */
  @Override
  public void run() {
    while (!Thread.currentThread().isInterrupted()) {
      RequestIds.as(RequestIds.fresh(), this::pass);
      try {
        Thread.sleep(interval.toMillis());
      } catch (InterruptedException stopping) {
        return;
      }
    }
  }

  private void pass() {
    try {
      runOnce();
    } catch (Problem problem) {
      LOG.atWarn().addKeyValue("reason", problem.type().slug()).log("pass cut short");
    } catch (RuntimeException error) {
      LOG.error("pass failed", error);
    }
  }

  /** Deals with one batch and returns how many orders of it need nothing more. */
  public int runOnce() {
    List<Order> batch = orders.leaseAbandoned(BATCH, lease);
    // What one order of a kind waits for, the others of that kind would wait for too: a gateway
    // that is down gets one call in a pass.
    Set<OrderStatus> stuck = EnumSet.noneOf(OrderStatus.class);
    int done = 0;
    for (Order order : batch) {
      if (stuck.contains(order.status())) {
        orders.dropLease(order.id());
      } else if (recover(order)) {
        done++;
      } else {
        stuck.add(order.status());
      }
    }
    return done;
  }

  private boolean recover(Order order) {
    try {
      if (order.status() == OrderStatus.RESERVING) {
        checkout.giveUp(order);
      } else {
        checkout.proceed(order);
      }
    } catch (Problem problem) {
      if (problem.type() != ProblemType.PAYMENT_DECLINED) {
        LOG.atWarn()
            .addKeyValue("order_id", order.id())
            .addKeyValue("reason", problem.type().slug())
            .log("order not recovered");
        orders.dropLease(order.id());
        return false;
      }
    } catch (RuntimeException error) {
      // A defect that one order brings out must not stand in the way of others.
      LOG.atError().setCause(error).addKeyValue("order_id", order.id()).log("recovery failed");
      return true;
    }
    LOG.atInfo()
        .addKeyValue("order_id", order.id())
        .addKeyValue("status", order.status().text())
        .log("order recovered");
    return true;
  }
}
