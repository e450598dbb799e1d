package triptych.payments.health;

import io.javalin.http.Context;
import io.javalin.router.JavalinDefaultRoutingApi;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import triptych.payments.http.Json;
import triptych.payments.http.Problem;
import triptych.payments.http.ProblemType;
import triptych.payments.peers.Peer;
import triptych.payments.telemetry.Metrics;

/** What orchestrators, the gateway and Prometheus ask. */
public final class HealthApi {
  private static final Duration CHECK_TIMEOUT = Duration.ofSeconds(1);
  private static final String READY_PATH = "/health/ready";
  private static final String SELF = "payments";
  private static final int OK = 200;
  private static final byte[] LIVE =
      Json.write(
          json -> {
            json.writeStartObject();
            json.writeStringField("status", "live");
            json.writeEndObject();
          });

  private final Startup startup;
  private final Runnable database;
  private final Map<String, Peer> parts;
  private final Metrics metrics;
  private final Executor threads;
  private final AtomicReference<CompletableFuture<Map<String, String>>> shop =
      new AtomicReference<>(CompletableFuture.completedFuture(Map.of()));

  /**
   * Tells the state of this service and of the whole shop.
   *
   * @param database throws a problem if the database does not answer
   * @param parts the other services that make up the shop, by name
   * @param threads where the database is asked, so that nobody waits for it longer than a second
   */
  public HealthApi(
      Startup startup,
      Runnable database,
      Map<String, Peer> parts,
      Metrics metrics,
      Executor threads) {
    this.startup = startup;
    this.database = database;
    this.parts = parts;
    this.metrics = metrics;
    this.threads = threads;
  }

  /** Adds the routes. */
  public void addTo(JavalinDefaultRoutingApi routes) {
    routes.get("/health/live", ctx -> ctx.result(LIVE));
    routes.get(READY_PATH, ctx -> ctx.future(() -> ownChecks().thenAccept(c -> answer(ctx, c))));
    routes.get(
        "/health/shop", ctx -> ctx.future(() -> shopChecks().thenAccept(c -> answer(ctx, c))));
    routes.get("/metrics", ctx -> ctx.contentType(Metrics.CONTENT_TYPE).result(metrics.text()));
  }

  private CompletableFuture<Map<String, String>> ownChecks() {
    // Keys that were fetched once stay good, so that start-up decides about them.
    if (!startup.isDone()) {
      return CompletableFuture.completedFuture(checks("database", "unknown", "keys", "unknown"));
    }
    return databaseCheck().thenApply(state -> checks("database", state, "keys", "up"));
  }

  private CompletableFuture<String> databaseCheck() {
    return CompletableFuture.runAsync(database, threads)
        .orTimeout(CHECK_TIMEOUT.toMillis(), TimeUnit.MILLISECONDS)
        .handle((nothing, error) -> error == null ? "up" : "down");
  }

  /** Whoever asks while the parts are being asked gets the same answer: many are no load. */
  private CompletableFuture<Map<String, String>> shopChecks() {
    var running = shop.get();
    if (!running.isDone()) {
      return running;
    }
    var checks = new CompletableFuture<Map<String, String>>();
    if (!shop.compareAndSet(running, checks)) {
      return shop.get();
    }
    CompletableFuture.completedFuture(null)
        .thenCompose(nothing -> askParts())
        .whenComplete(
            (found, error) -> {
              if (error == null) {
                checks.complete(found);
              } else {
                checks.completeExceptionally(error);
              }
            });
    return checks;
  }

  private CompletableFuture<Map<String, String>> askParts() {
    var asked = new LinkedHashMap<String, CompletableFuture<String>>();
    parts.forEach(
        (name, peer) ->
            asked.put(
                name, peer.status(READY_PATH).thenApply(status -> status == OK ? "up" : "down")));
    asked.put(
        SELF, startup.isDone() ? databaseCheck() : CompletableFuture.completedFuture("unknown"));
    return CompletableFuture.allOf(asked.values().toArray(CompletableFuture[]::new))
        .thenApply(
            nothing -> {
              var checks = new LinkedHashMap<String, String>();
              asked.forEach((name, state) -> checks.put(name, state.join()));
              return checks;
            });
  }

  private static Map<String, String> checks(String... namesAndStates) {
    var checks = new LinkedHashMap<String, String>();
    for (int i = 0; i < namesAndStates.length; i += 2) {
      checks.put(namesAndStates[i], namesAndStates[i + 1]);
    }
    return checks;
  }

  private static void answer(Context ctx, Map<String, String> checks) {
    ctx.header("Cache-Control", "no-store");
    Json.Value states =
        json -> {
          json.writeStartObject();
          for (var check : checks.entrySet()) {
            json.writeStringField(check.getKey(), check.getValue());
          }
          json.writeEndObject();
        };
    if (checks.containsValue("unknown")) {
      throw notReady("Start-up is not finished.", states);
    }
    if (checks.containsValue("down")) {
      throw notReady("A part the service cannot do without does not answer.", states);
    }
    ctx.result(
        Json.write(
            json -> {
              json.writeStartObject();
              json.writeStringField("status", "ready");
              json.writeFieldName("checks");
              states.writeTo(json);
              json.writeEndObject();
            }));
  }

  private static Problem notReady(String detail, Json.Value states) {
    return Problem.of(ProblemType.NOT_READY, detail)
        .header("Retry-After", "1")
        .member("checks", states);
  }
}
