package triptych.payments.fakes;

import com.sun.net.httpserver.HttpExchange;
import java.io.IOException;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * The payment gateway, with the faults that a real one has. It keeps Stripe's promise on
 * idempotency keys, and counts what it has really charged.
 */
public final class FakeGateway extends FakeServer {
  /** How it behaves. */
  public enum Mode {
    WORKING,
    DOWN,
    SLOW,
    FAILING,
    DECLINING,
    LOSING_ANSWERS,
    ASKING_FOR_MORE
  }

  private static final long SLOW_MS = 20_000;

  private volatile Mode mode = Mode.WORKING;
  private volatile long delayMs;
  private final Map<String, Answer> answers = new ConcurrentHashMap<>();
  private final Map<String, Integer> charges = new ConcurrentHashMap<>();
  private final AtomicInteger calls = new AtomicInteger();

  /** Listens, working. */
  public FakeGateway() throws IOException {
    super((method, path, body, exchange) -> new Answer(500, ""));
    behave(this::answer);
  }

  /** Behaves so from now on. */
  public void be(Mode next) {
    mode = next;
  }

  /** Takes so long over each good answer. */
  public void delay(long milliseconds) {
    delayMs = milliseconds;
  }

  /** Returns how often money has moved for an order. */
  public int charges(Object orderId) {
    return charges.getOrDefault("order-" + orderId, 0);
  }

  /** Returns how often it was called. */
  public int calls() {
    return calls.get();
  }

  private Answer answer(String method, String path, String body, HttpExchange exchange)
      throws InterruptedException {
    calls.incrementAndGet();
    switch (mode) {
      case DOWN -> {
        return new Answer(0, "");
      }
      case SLOW -> {
        Thread.sleep(SLOW_MS);
        return new Answer(0, "");
      }
      case FAILING -> {
        return new Answer(500, "{\"error\": {\"type\": \"api_error\", \"message\": \"broken\"}}");
      }
      default -> Thread.sleep(delayMs);
    }
    String key = exchange.getRequestHeaders().getFirst("Idempotency-Key");
    Answer answer = answers.computeIfAbsent(key, this::settle);
    return mode == Mode.LOSING_ANSWERS ? new Answer(0, "") : answer;
  }

  private Answer settle(String key) {
    return switch (mode) {
      case DECLINING ->
          new Answer(
              402,
              """
              {"error": {"type": "card_error", "code": "card_declined",
               "decline_code": "insufficient_funds", "message": "Declined."}}""");
      case ASKING_FOR_MORE ->
          new Answer(
              200,
              """
              {"id": "pi_1", "object": "payment_intent", "status": "requires_action",
               "latest_charge": null}""");
      default -> {
        charges.merge(key, 1, Integer::sum);
        yield new Answer(
            200,
            """
            {"id": "pi_1", "object": "payment_intent", "status": "succeeded",
             "latest_charge": {"id": "ch_1", "object": "charge", "paid": true,
             "status": "succeeded"}}""");
      }
    };
  }
}
