package triptych.payments.peers;

import java.util.List;
import triptych.payments.orders.OrderLine;

/** What became of asking for stock. */
public sealed interface Reservation {
  /** The stock is taken, at these names and prices. */
  record Reserved(List<OrderLine> lines) implements Reservation {}

  /** Nothing is taken, as there is too little of something. */
  record OutOfStock(List<Shortage> shortages) implements Reservation {}

  /** The reservation was given back before, so it can't be had any more. */
  record Released() implements Reservation {}

  /** A product of which there is too little. */
  record Shortage(int productId, int requested, int available) {}
}
