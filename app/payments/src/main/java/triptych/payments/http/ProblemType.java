package triptych.payments.http;

/** Every kind of problem that this service answers with, as the contract names them. */
public enum ProblemType {
  MALFORMED_JSON("malformed-json", "The body is not valid JSON", 400),
  AUTHENTICATION_REQUIRED("authentication-required", "A valid access token is required", 401),
  PAYMENT_DECLINED("payment-declined", "The payment was declined", 402),
  NOT_FOUND("not-found", "There is nothing at this path", 404),
  ORDER_NOT_FOUND("order-not-found", "There is no such order", 404),
  METHOD_NOT_ALLOWED("method-not-allowed", "The method is not allowed here", 405),
  CART_EMPTY("cart-empty", "The cart is empty", 409),
  OUT_OF_STOCK("out-of-stock", "Not enough in stock", 409),
  CHECKOUT_IN_PROGRESS("checkout-in-progress", "This checkout is still being worked on", 409),
  BODY_TOO_LARGE("body-too-large", "The body is too large", 413),
  UNSUPPORTED_MEDIA_TYPE("unsupported-media-type", "The body has to be JSON", 415),
  VALIDATION("validation", "The request does not fit the contract", 422),
  IDEMPOTENCY_KEY_REUSED("idempotency-key-reused", "The key belongs to another checkout", 422),
  INTERNAL("internal", "Something went wrong on our side", 500),
  PAYMENT_GATEWAY_ERROR("payment-gateway-error", "The payment gateway failed", 502),
  DEPENDENCY_UNAVAILABLE("dependency-unavailable", "A part of the shop is unavailable", 503),
  NOT_READY("not-ready", "The service is not ready", 503),
  PAYMENT_GATEWAY_UNAVAILABLE(
      "payment-gateway-unavailable", "The payment gateway cannot be reached", 503),
  PAYMENT_GATEWAY_TIMEOUT("payment-gateway-timeout", "The payment gateway did not answer", 504);

  private static final String URN_PREFIX = "urn:triptych:problem:";

  private final String slug;
  private final String title;
  private final int status;

  ProblemType(String slug, String title, int status) {
    this.slug = slug;
    this.title = title;
    this.status = status;
  }

  /** Returns the last part of the type's URI. */
  public String slug() {
    return slug;
  }

  /** Returns the stable URI of the type. */
  public String uri() {
    return URN_PREFIX + slug;
  }

  /** Returns the title, for people. */
  public String title() {
    return title;
  }

  /** Returns the HTTP status. */
  public int status() {
    return status;
  }
}
