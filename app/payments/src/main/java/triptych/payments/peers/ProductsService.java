package triptych.payments.peers;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import triptych.payments.http.Json;
import triptych.payments.orders.OrderLine;

/** The stock, by the products service's internal API. */
public final class ProductsService {
  private static final String RESERVATIONS = "/internal/v1/reservations/";
  private static final String RELEASED = "urn:triptych:problem:reservation-released";
  private static final int OK = 200;
  private static final int NO_CONTENT = 204;
  private static final int CONFLICT = 409;

  private final Peer peer;

  /** Asks a peer. */
  public ProductsService(Peer peer) {
    this.peer = peer;
  }

  /** Takes the stock of an order, all lines or none; asking again gives the same answer. */
  public Reservation reserve(UUID orderId, List<OrderLine> asked) {
    byte[] body = Json.write(json -> CartService.writeLines(json, asked));
    Peer.Reply reply = peer.call("PUT", RESERVATIONS + orderId, body);
    return switch (reply.status()) {
      case OK -> new Reservation.Reserved(lines(reply.object()));
      case CONFLICT -> conflict(reply.object());
      default -> throw new IllegalStateException("products answered " + reply.status());
    };
  }

  /** Gives the stock of an order back, once; a reservation not made yet can't be made then. */
  public void release(UUID orderId) {
    Peer.Reply reply = peer.call("DELETE", RESERVATIONS + orderId, null);
    if (reply.status() != NO_CONTENT) {
      throw new IllegalStateException("products answered " + reply.status());
    }
  }

  private static List<OrderLine> lines(Map<String, Object> document) {
    List<OrderLine> lines = new ArrayList<>();
    for (Object item : (List<?>) document.get("lines")) {
      var line = (Map<?, ?>) item;
      var price = (Map<?, ?>) line.get("unit_price");
      lines.add(
          new OrderLine(
              integer(line, "product_id"),
              (String) line.get("name"),
              ((Number) price.get("amount")).longValue(),
              integer(line, "quantity")));
    }
    lines.sort(Comparator.comparingInt(OrderLine::productId));
    return lines;
  }

  private static Reservation conflict(Map<String, Object> problem) {
    if (RELEASED.equals(problem.get("type"))) {
      return new Reservation.Released();
    }
    List<Reservation.Shortage> shortages = new ArrayList<>();
    for (Object item : (List<?>) problem.get("shortages")) {
      var shortage = (Map<?, ?>) item;
      shortages.add(
          new Reservation.Shortage(
              integer(shortage, "product_id"),
              integer(shortage, "requested"),
              integer(shortage, "available")));
    }
    return new Reservation.OutOfStock(shortages);
  }

  private static int integer(Map<?, ?> members, String name) {
    return ((Number) members.get(name)).intValue();
  }
}
