package triptych.payments.peers;

import com.fasterxml.jackson.core.JsonGenerator;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import triptych.payments.http.Json;
import triptych.payments.orders.OrderLine;

/** The carts, by the cart service's internal API. */
public final class CartService {
  private static final String CARTS = "/internal/v1/carts/";
  private static final int OK = 200;
  private static final int NO_CONTENT = 204;

  private final Peer peer;

  /** Asks a peer. */
  public CartService(Peer peer) {
    this.peer = peer;
  }

  /** Returns what is in the user's cart, without prices, in the order of ids. */
  public List<OrderLine> read(UUID userId) {
    Peer.Reply reply = peer.call("GET", CARTS + userId, null);
    if (reply.status() != OK) {
      throw new IllegalStateException("the cart service answered " + reply.status());
    }
    List<OrderLine> lines = new ArrayList<>();
    for (Object item : (List<?>) reply.object().get("lines")) {
      var line = (Map<?, ?>) item;
      lines.add(
          OrderLine.asked(
              ((Number) line.get("product_id")).intValue(),
              ((Number) line.get("quantity")).intValue()));
    }
    return lines;
  }

  /** Takes bought quantities out of the cart, once for an order. */
  public void purchase(UUID userId, UUID orderId, List<OrderLine> bought) {
    byte[] body = Json.write(json -> writeLines(json, bought));
    Peer.Reply reply = peer.call("PUT", CARTS + userId + "/purchases/" + orderId, body);
    if (reply.status() != NO_CONTENT) {
      throw new IllegalStateException("the cart service answered " + reply.status());
    }
  }

  /** Writes products and quantities as both services want them. */
  static void writeLines(JsonGenerator json, List<OrderLine> lines) throws IOException {
    json.writeStartObject();
    json.writeArrayFieldStart("lines");
    for (OrderLine line : lines) {
      json.writeStartObject();
      json.writeNumberField("product_id", line.productId());
      json.writeNumberField("quantity", line.quantity());
      json.writeEndObject();
    }
    json.writeEndArray();
    json.writeEndObject();
  }
}
