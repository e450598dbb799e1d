package triptych.payments.checkout;

import io.javalin.http.Context;
import io.javalin.router.JavalinDefaultRoutingApi;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import triptych.payments.http.FieldError;
import triptych.payments.http.FieldError.Location;
import triptych.payments.http.Json;
import triptych.payments.http.Problem;
import triptych.payments.http.RequestIds;
import triptych.payments.http.Requests;
import triptych.payments.orders.OrderJson;
import triptych.payments.orders.OrdersApi;
import triptych.payments.tokens.Secured;

/**
 * The checkout endpoint. A checkout waits for others most of its time, so it has threads of its
 * own: whatever a slow gateway holds up there, the server's threads go on with other requests.
 */
public final class CheckoutApi implements AutoCloseable {
  private static final String KEY_HEADER = "Idempotency-Key";
  private static final String METHOD_FIELD = "payment_method";
  private static final Pattern KEY = Pattern.compile("[A-Za-z0-9_-]{1,128}");
  private static final Pattern METHOD = Pattern.compile("pm_[A-Za-z0-9_]{1,64}");

  private static final int THREADS = 32;
  private static final int QUEUE = 128;
  private static final int THREAD_IDLE_S = 30;
  private static final int CREATED = 201;

  private final CheckoutService service;
  private final Secured secured;
  private final ThreadPoolExecutor threads;

  /** Puts an endpoint before the service. */
  public CheckoutApi(CheckoutService service, Secured secured) {
    this.service = service;
    this.secured = secured;
    threads =
        new ThreadPoolExecutor(
            THREADS, THREADS, THREAD_IDLE_S, TimeUnit.SECONDS, new ArrayBlockingQueue<>(QUEUE));
    threads.setThreadFactory(task -> new Thread(task, "checkout"));
    threads.allowCoreThreadTimeOut(true);
  }

  /** Adds the route. */
  public void addTo(JavalinDefaultRoutingApi routes) {
    routes.post("/api/v1/checkout", secured.handler(this::checkOut));
  }

  private void checkOut(Context ctx, UUID userId) {
    Object document = Requests.json(ctx);
    String key = ctx.header(KEY_HEADER);
    List<FieldError> errors = new ArrayList<>();
    checkKey(key, errors);
    checkBody(document, errors);
    if (!errors.isEmpty()) {
      throw Problem.invalid(errors);
    }
    String paymentMethod = (String) ((Map<?, ?>) document).get(METHOD_FIELD);
    ctx.future(() -> later(() -> answer(ctx, service.checkOut(userId, key, paymentMethod))));
  }

  private CompletableFuture<Void> later(Runnable task) {
    try {
      return CompletableFuture.runAsync(RequestIds.carry(task), threads);
    } catch (RejectedExecutionException full) {
      throw Problem.unavailable("payment gateway", full); // nothing else holds up that many
    }
  }

  private static void answer(Context ctx, CheckoutService.Settled settled) {
    ctx.status(CREATED)
        .header("Cache-Control", "no-store")
        .header("Location", OrdersApi.PATH + "/" + settled.order().id());
    if (settled.replayed()) {
      ctx.header("Idempotent-Replayed", "true");
    }
    ctx.result(Json.write(json -> OrderJson.write(json, settled.order())));
  }

  private static void checkKey(String key, List<FieldError> errors) {
    if (key == null) {
      errors.add(new FieldError(Location.HEADER, KEY_HEADER, "Field required"));
    } else if (!KEY.matcher(key).matches()) {
      errors.add(
          new FieldError(
              Location.HEADER, KEY_HEADER, "Input should be 1 to 128 of A-Z, a-z, 0-9, _ and -"));
    }
  }

  private static void checkBody(Object document, List<FieldError> errors) {
    if (document == Requests.NO_BODY || document == null) {
      errors.add(new FieldError(Location.BODY, "", "Field required"));
      return;
    }
    if (!(document instanceof Map<?, ?> members)) {
      errors.add(new FieldError(Location.BODY, "", "Input should be an object"));
      return;
    }
    if (!members.keySet().stream().allMatch(name -> isText((String) name))) {
      errors.add(
          new FieldError(Location.BODY, "", "Names should not contain halves of surrogate pairs"));
      return;
    }
    if (!members.containsKey(METHOD_FIELD)) {
      errors.add(new FieldError(Location.BODY, METHOD_FIELD, "Field required"));
    } else if (!(members.get(METHOD_FIELD) instanceof String method)) {
      errors.add(new FieldError(Location.BODY, METHOD_FIELD, "Input should be a text"));
    } else if (!METHOD.matcher(method).matches()) {
      errors.add(
          new FieldError(
              Location.BODY, METHOD_FIELD, "Input should be pm_ and 1 to 64 letters or digits"));
    }
    for (Object name : members.keySet()) {
      if (!name.equals(METHOD_FIELD)) {
        errors.add(new FieldError(Location.BODY, (String) name, "Extra inputs are not permitted"));
      }
    }
  }

  private static boolean isText(String characters) {
    return StandardCharsets.UTF_8.newEncoder().canEncode(characters);
  }

  /** Starts no more checkouts. */
  @Override
  public void close() {
    threads.shutdownNow();
  }
}
