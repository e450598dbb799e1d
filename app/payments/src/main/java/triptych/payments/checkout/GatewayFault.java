package triptych.payments.checkout;

import java.util.UUID;
import triptych.payments.http.Problem;
import triptych.payments.http.ProblemType;

/** No answer that settles a payment: it may have happened or not. */
public final class GatewayFault extends Exception {
  private static final long serialVersionUID = 1L;

  private final ProblemType type;

  GatewayFault(ProblemType type, String message, Throwable cause) {
    super(message, cause);
    this.type = type;
  }

  /** Returns what counts these. */
  String outcome() {
    return type.slug().substring("payment-gateway-".length());
  }

  /** Returns the answer to the customer, who may repeat the checkout with the same key. */
  Problem asProblem(UUID orderId) {
    return Problem.of(
            type,
            getMessage()
                + " The order is pending; repeat the checkout with the same Idempotency-Key to"
                + " learn its outcome. It is never charged twice.",
            this)
        .header("Retry-After", "2")
        .member("order_id", orderId.toString());
  }
}
