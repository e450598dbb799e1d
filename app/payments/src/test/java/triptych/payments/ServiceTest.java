package triptych.payments;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.function.BooleanSupplier;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import triptych.payments.fakes.FakeGateway;
import triptych.payments.fakes.FakeGateway.Mode;
import triptych.payments.fakes.FakeShop;
import triptych.payments.fakes.PrivatePostgres;
import triptych.payments.fakes.TestSettings;
import triptych.payments.http.Json;

/** The whole service over HTTP, with a real database and everything else faked. */
class ServiceTest {
  private static final int PRODUCT = 5;
  private static final String CARD = "{\"payment_method\": \"pm_card_visa\"}";
  private static final Duration PATIENCE = Duration.ofSeconds(30);

  private static final HttpClient HTTP = HttpClient.newHttpClient();
  private static PrivatePostgres postgres;
  private static FakeShop shop;
  private static FakeGateway gateway;
  private static PaymentsService service;
  private static String base;

  private final UUID user = UUID.randomUUID();
  private final String key = UUID.randomUUID().toString();

  /** An answer, taken apart. */
  private record Answer(int status, Map<String, Object> body, HttpResponse<byte[]> response) {
    String problem() {
      return ((String) body.get("type")).substring("urn:triptych:problem:".length());
    }

    boolean replayed() {
      return response.headers().firstValue("Idempotent-Replayed").isPresent();
    }
  }

  @BeforeAll
  static void open() throws Exception {
    postgres = PrivatePostgres.shared();
    shop = new FakeShop();
    gateway = new FakeGateway();
    int port = PrivatePostgres.freePort();
    base = "http://127.0.0.1:" + port;
    var environment =
        TestSettings.environment(
            postgres, postgres.createDatabase(), shop.url(), gateway.url(), port);
    service = new PaymentsService(Settings.from(environment));
    service.start(() -> {});
    await(() -> get("/health/ready", UUID.randomUUID()).status == 200);
  }

  @AfterAll
  static void close() {
    service.stop();
    gateway.close();
    shop.close();
  }

  @AfterEach
  void mend() {
    gateway.be(Mode.WORKING);
    gateway.delay(0);
    shop.away("/internal", false);
    shop.away("/internal/v1/carts/" + user + "/purchases", false);
    shop.away("/internal/v1/reservations", false);
  }

  @Test
  void aCheckoutBuysWhatIsInTheCart() {
    shop.stock(PRODUCT, 10);
    shop.cart(user, Map.of(PRODUCT, 3));
    Answer answer = checkOut(key);
    assertEquals(201, answer.status);
    assertEquals("paid", answer.body.get("status"));
    assertEquals(Map.of("amount", 3750, "currency", "EUR"), answer.body.get("total"));
    assertFalse(answer.replayed());
    assertEquals(7, shop.stock(PRODUCT));
    assertEquals(Map.of(), shop.cart(user));
    String path = answer.response.headers().firstValue("Location").orElseThrow();
    assertEquals(answer.body, get(path).body);
    assertEquals(List.of(answer.body), get("/api/v1/orders").body.get("items"));
  }

  @Test
  void aRepetitionAnswersTheSameOrder() {
    Answer first = buy(1);
    shop.cart(user, Map.of(PRODUCT, 1));
    Answer again = checkOut(key);
    assertEquals(201, again.status);
    assertEquals(first.body, again.body);
    assertTrue(again.replayed());
    assertEquals(1, gateway.charges(first.body.get("id")));
    Answer other = post(key, "{\"payment_method\": \"pm_other\"}");
    assertEquals("idempotency-key-reused", other.problem());
    assertEquals(422, other.status);
  }

  @Test
  void manyAtOnceBuyOnce() {
    shop.stock(PRODUCT, 10);
    shop.cart(user, Map.of(PRODUCT, 2));
    gateway.delay(300);
    List<CompletableFuture<Answer>> answers = new ArrayList<>();
    for (int i = 0; i < 10; i++) {
      answers.add(
          CompletableFuture.supplyAsync(() -> checkOut(key), task -> new Thread(task).start()));
    }
    Set<Object> orders = new HashSet<>();
    for (CompletableFuture<Answer> one : answers) {
      Answer answer = one.join();
      if (answer.status == 201) {
        orders.add(answer.body.get("id"));
      } else {
        assertEquals("checkout-in-progress", answer.problem());
      }
    }
    assertEquals(1, orders.size());
    assertEquals(1, gateway.charges(orders.iterator().next()));
    assertEquals(8, shop.stock(PRODUCT));
  }

  @Test
  void emptyCartAndEmptyShelfLeaveNoTrace() {
    assertEquals("cart-empty", checkOut(key).problem());
    shop.stock(PRODUCT, 1);
    shop.cart(user, Map.of(PRODUCT, 2));
    Answer answer = checkOut(key);
    assertEquals("out-of-stock", answer.problem());
    assertEquals(
        List.of(Map.of("product_id", PRODUCT, "requested", 2, "available", 1)),
        answer.body.get("shortages"));
    assertEquals(0, get("/api/v1/orders").body.get("total"));
    shop.stock(PRODUCT, 2);
    assertEquals(201, checkOut(key).status);
  }

  @ParameterizedTest
  @CsvSource({"DECLINING, insufficient_funds", "ASKING_FOR_MORE, requires_action"})
  void aRefusalIsFinalAndGivesTheStockBack(Mode mode, String code) {
    gateway.be(mode);
    Answer declined = buy(2);
    assertEquals(402, declined.status);
    assertEquals("payment-declined", declined.problem());
    assertEquals(code, declined.body.get("code"));
    assertEquals(10, shop.stock(PRODUCT));
    assertEquals(Map.of(PRODUCT, 2), shop.cart(user));
    gateway.be(Mode.WORKING);
    Answer again = checkOut(key);
    assertEquals(402, again.status);
    assertTrue(again.replayed());
    Map<String, Object> order = get("/api/v1/orders/" + declined.body.get("order_id")).body;
    assertEquals("payment_failed", order.get("status"));
    assertEquals(code, order.get("failure_code"));
    assertNull(order.get("paid_at"));
  }

  @ParameterizedTest
  @CsvSource({
    "DOWN, 503, payment-gateway-unavailable",
    "SLOW, 504, payment-gateway-timeout",
    "FAILING, 502, payment-gateway-error",
    "LOSING_ANSWERS, 503, payment-gateway-unavailable",
  })
  void aGatewayFaultLeavesAnOrderThatIsPaidOnce(Mode mode, int status, String problem) {
    gateway.be(mode);
    Answer failed = buy(4);
    assertEquals(status, failed.status);
    assertEquals(problem, failed.problem());
    assertEquals("2", failed.response.headers().firstValue("Retry-After").orElseThrow());
    String path = "/api/v1/orders/" + failed.body.get("order_id");
    assertEquals("pending", get(path).body.get("status"));
    assertEquals(6, shop.stock(PRODUCT));
    gateway.be(Mode.WORKING);
    await(() -> "paid".equals(get(path).body.get("status")));
    await(() -> checkOut(key).status == 201);
    await(() -> shop.cart(user).isEmpty());
    assertEquals(1, gateway.charges(failed.body.get("order_id")));
    assertEquals(6, shop.stock(PRODUCT));
  }

  @Test
  void aSlowGatewayHoldsUpNothingElse() {
    gateway.be(Mode.SLOW);
    shop.stock(PRODUCT, 100);
    int calls = gateway.calls();
    List<CompletableFuture<Answer>> checkouts = new ArrayList<>();
    for (int i = 0; i < 12; i++) { // more than there are threads for payments
      UUID someone = UUID.randomUUID();
      shop.cart(someone, Map.of(PRODUCT, 1));
      checkouts.add(
          send(
              request("/api/v1/checkout", someone)
                  .header("Idempotency-Key", key)
                  .header("Content-Type", "application/json")
                  .POST(BodyPublishers.ofString(CARD))));
    }
    await(() -> gateway.calls() > calls);
    assertEquals(200, get("/api/v1/orders").status);
    assertTrue(checkouts.stream().anyMatch(one -> !one.isDone()));
    gateway.be(Mode.WORKING);
    checkouts.forEach(CompletableFuture::join);
  }

  @Test
  void withoutProductsServiceTheCheckoutGoesOnLater() {
    shop.away("/internal/v1/reservations", true);
    Answer failed = buy(1);
    assertEquals(503, failed.status);
    assertEquals("products service", failed.body.get("dependency"));
    assertEquals(0, get("/api/v1/orders").body.get("total"));
    shop.away("/internal/v1/reservations", false);
    await(() -> checkOut(key).status == 201);
    assertEquals(1, get("/api/v1/orders").body.get("total"));
    assertEquals(9, shop.stock(PRODUCT));
  }

  @Test
  void withoutCartServiceThereIsNoCheckout() {
    shop.away("/internal/v1/carts", true);
    try {
      assertEquals("cart service", buy(1).body.get("dependency"));
    } finally {
      shop.away("/internal/v1/carts", false);
    }
    assertEquals(10, shop.stock(PRODUCT));
  }

  @Test
  void aPaidOrderLeavesTheCartEvenIfLate() {
    shop.away("/internal/v1/carts/" + user + "/purchases", true);
    assertEquals(201, buy(1).status);
    assertEquals(Map.of(PRODUCT, 1), shop.cart(user));
    shop.away("/internal/v1/carts/" + user + "/purchases", false);
    await(() -> shop.cart(user).isEmpty());
  }

  @Test
  void someoneElsesOrderIsNotThere() {
    Object id = buy(1).body.get("id");
    Answer theirs = send(request("/api/v1/orders/" + id, UUID.randomUUID()).GET()).join();
    assertEquals(404, theirs.status);
    assertEquals("order-not-found", theirs.problem());
    assertEquals("order-not-found", get("/api/v1/orders/" + UUID.randomUUID()).problem());
  }

  @ParameterizedTest
  @CsvSource({
    "GET,    /api/v1/orders/1,            422, validation",
    "GET,    /api/v1/orders/%2500,        422, validation",
    "GET,    /api/v1/orders?page=0,       422, validation",
    "GET,    /api/v1/orders?page=1&page=, 422, validation",
    "GET,    /api/v1/orders?page_size=x,  422, validation",
    "GET,    /api/v1/orders/,             404, not-found",
    "GET,    /nowhere,                    404, not-found",
    "HEAD,   /api/v1/orders,              405, ",
    "DELETE, /api/v1/orders,              405, method-not-allowed",
    "GET,    /api/v1/checkout,            405, method-not-allowed",
    "FOO,    /api/v1/checkout,            405, method-not-allowed",
  })
  void requestsThatAreNoneGetTheirProblem(String method, String path, int status, String problem) {
    Answer answer = send(request(path, user).method(method, BodyPublishers.noBody())).join();
    assertEquals(status, answer.status);
    if (problem != null) {
      assertEquals(problem, answer.problem());
    }
    assertTrue(answer.response.headers().firstValue("X-Request-ID").isPresent());
    assertTrue(answer.response.headers().firstValue("X-Instance-ID").isPresent());
    if (status == 405) {
      String allowed = path.endsWith("checkout") ? "POST" : "GET";
      assertEquals(allowed, answer.response.headers().firstValue("Allow").orElseThrow());
    }
  }

  @Test
  void checksComeInTheContractsOrder() {
    String large = " ".repeat(64 * 1024 + 1);
    assertEquals(413, post("/nowhere", null, null, "text/plain", large).status);
    assertEquals(404, post("/nowhere", null, null, "text/plain", "{").status);
    String path = "/api/v1/checkout";
    assertEquals(401, post(path, null, null, "text/plain", "{").status);
    String bearer = shop.bearer(user);
    assertEquals(415, post(path, bearer, null, "text/plain", "{").status);
    assertEquals(400, post(path, bearer, null, "application/json", "{").status);
    Answer invalid = post(path, bearer, null, "application/json; charset=\"UTF-8\"", "{\"a\": 1}");
    assertEquals(422, invalid.status);
    List<String> faults = new ArrayList<>();
    for (Object error : (List<?>) invalid.body.get("errors")) {
      faults.add(((Map<?, ?>) error).get("in") + " " + ((Map<?, ?>) error).get("field"));
    }
    assertEquals(List.of("header Idempotency-Key", "body payment_method", "body a"), faults);
  }

  @Test
  void healthTellsOfTheWholeShop() {
    assertEquals(Map.of("status", "live"), get("/health/live").body);
    assertEquals(
        Map.of("status", "ready", "checks", Map.of("database", "up", "keys", "up")),
        get("/health/ready").body);
    assertEquals(
        Map.of("auth", "up", "cart", "up", "payments", "up"),
        get("/health/shop").body.get("checks"));
    shop.away("/health", true);
    try {
      Answer answer = get("/health/shop");
      assertEquals("not-ready", answer.problem());
      assertEquals(
          Map.of("auth", "down", "cart", "down", "payments", "up"), answer.body.get("checks"));
      assertEquals(200, get("/health/ready").status);
    } finally {
      shop.away("/health", false);
    }
  }

  @Test
  void manyWhoAskForTheShopAreNoLoadForItsParts() throws Exception {
    int before = shop.readyAsked();
    var latch = new CountDownLatch(1);
    shop.holdReady(latch);
    var asking =
        IntStream.range(0, 40).mapToObj(i -> send(request("/health/shop", user).GET())).toList();
    while (shop.readyAsked() == before) {
      Thread.sleep(10);
    }
    Thread.sleep(200); // the others arrive; who is later than that is a question of his own
    latch.countDown();
    for (var each : asking) {
      assertEquals(200, each.join().status);
    }
    assertTrue(shop.readyAsked() - before < asking.size());
    assertEquals(200, get("/health/shop").status);
  }

  @Test
  void metricsCountByRouteTemplate() {
    get("/api/v1/orders/" + UUID.randomUUID());
    get("/nowhere");
    var metrics = new String(send(request("/metrics", user).GET()).join().response.body());
    assertTrue(
        metrics.contains(
            "http_requests_total{method=\"GET\",route=\"/api/v1/orders/{order_id}\",status=\"404\"}"));
    assertTrue(metrics.contains("route=\"unmatched\""));
    assertTrue(metrics.contains("http_request_duration_seconds_bucket"));
    assertTrue(metrics.contains("process_resident_memory_bytes "));
    assertTrue(metrics.contains("process_cpu_seconds_total "));
  }

  @Test
  void aDatabaseThatGoesAndComesBack() throws Exception {
    postgres.stop();
    try {
      Answer orders = get("/api/v1/orders");
      assertEquals(503, orders.status);
      assertEquals("database", orders.body.get("dependency"));
      assertEquals("database", buy(1).body.get("dependency"));
      assertEquals(
          Map.of("database", "down", "keys", "up"), get("/health/ready").body.get("checks"));
      assertEquals(200, get("/health/live").status);
    } finally {
      postgres.start();
    }
    assertEquals(201, checkOut(key).status);
  }

  private Answer buy(int quantity) {
    shop.stock(PRODUCT, 10);
    shop.cart(user, Map.of(PRODUCT, quantity));
    return checkOut(key);
  }

  private Answer checkOut(String withKey) {
    return post(withKey, CARD);
  }

  private Answer post(String withKey, String body) {
    return post("/api/v1/checkout", shop.bearer(user), withKey, "application/json", body);
  }

  private static Answer post(
      String path, String bearer, String withKey, String contentType, String body) {
    var request = HttpRequest.newBuilder(URI.create(base + path));
    request.header("Content-Type", contentType);
    if (bearer != null) {
      request.header("Authorization", bearer);
    }
    if (withKey != null) {
      request.header("Idempotency-Key", withKey);
    }
    return send(request.POST(BodyPublishers.ofString(body))).join();
  }

  private Answer get(String path) {
    return get(path, user);
  }

  private static Answer get(String path, UUID who) {
    return send(request(path, who).GET()).join();
  }

  private static HttpRequest.Builder request(String path, UUID who) {
    return HttpRequest.newBuilder(URI.create(base + path))
        .header("Authorization", shop.bearer(who));
  }

  private static CompletableFuture<Answer> send(HttpRequest.Builder request) {
    return HTTP.sendAsync(request.build(), BodyHandlers.ofByteArray())
        .thenApply(ServiceTest::parse);
  }

  @SuppressWarnings("unchecked")
  private static Answer parse(HttpResponse<byte[]> response) {
    boolean json = response.headers().firstValue("Content-Type").orElse("").contains("json");
    try {
      Object body = json && response.body().length > 0 ? Json.parse(response.body()) : Map.of();
      return new Answer(response.statusCode(), (Map<String, Object>) body, response);
    } catch (IOException error) {
      throw new IllegalStateException(error);
    }
  }

  private static void await(BooleanSupplier condition) {
    long deadline = System.nanoTime() + PATIENCE.toNanos();
    while (!condition.getAsBoolean()) {
      assertTrue(System.nanoTime() < deadline, "not within " + PATIENCE);
      try {
        Thread.sleep(20);
      } catch (InterruptedException error) {
        throw new IllegalStateException(error);
      }
    }
  }
}
