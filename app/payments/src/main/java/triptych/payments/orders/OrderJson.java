package triptych.payments.orders;

import com.fasterxml.jackson.core.JsonGenerator;
import java.io.IOException;
import triptych.payments.http.Times;

/** Orders as the contract shows them. */
public final class OrderJson {
  private OrderJson() {}

  /** Writes an order. */
  public static void write(JsonGenerator json, Order order) throws IOException {
    json.writeStartObject();
    json.writeStringField("id", order.id().toString());
    json.writeStringField("status", order.status().text());
    json.writeArrayFieldStart("items");
    for (OrderLine line : order.lines()) {
      json.writeStartObject();
      json.writeNumberField("product_id", line.productId());
      json.writeStringField("name", line.name());
      writeMoney(json, "unit_price", line.unitPriceMinor(), order.currency());
      json.writeNumberField("quantity", line.quantity());
      writeMoney(json, "line_total", line.totalMinor(), order.currency());
      json.writeEndObject();
    }
    json.writeEndArray();
    writeMoney(json, "total", order.totalMinor(), order.currency());
    json.writeStringField("payment_method", order.paymentMethod());
    json.writeStringField("payment_reference", order.paymentReference());
    json.writeStringField("failure_code", order.failureCode());
    json.writeStringField("created_at", Times.micros(order.createdAt()));
    json.writeStringField("paid_at", order.paidAt() == null ? null : Times.micros(order.paidAt()));
    json.writeEndObject();
  }

  /** Writes one page. */
  public static void writePage(JsonGenerator json, OrderPage found, int page, int pageSize)
      throws IOException {
    json.writeStartObject();
    json.writeArrayFieldStart("items");
    for (Order order : found.orders()) {
      write(json, order);
    }
    json.writeEndArray();
    json.writeNumberField("total", found.total());
    json.writeNumberField("page", page);
    json.writeNumberField("page_size", pageSize);
    json.writeEndObject();
  }

  private static void writeMoney(JsonGenerator json, String name, long amountMinor, String currency)
      throws IOException {
    json.writeObjectFieldStart(name);
    json.writeNumberField("amount", amountMinor);
    json.writeStringField("currency", currency);
    json.writeEndObject();
  }
}
