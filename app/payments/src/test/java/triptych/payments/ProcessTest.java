package triptych.payments;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import triptych.payments.fakes.FakeGateway;
import triptych.payments.fakes.FakeShop;
import triptych.payments.fakes.PrivatePostgres;
import triptych.payments.fakes.TestSettings;
import triptych.payments.http.Json;

/** The service as a process: how it starts, ends, and what becomes of orders when it is killed. */
class ProcessTest {
  private static final int PRODUCT = 5;

  @TempDir Path files;
  private final UUID user = UUID.randomUUID();
  private String key = UUID.randomUUID().toString();
  private final HttpClient http = HttpClient.newHttpClient();
  private PrivatePostgres postgres;
  private FakeShop shop;
  private FakeGateway gateway;
  private Map<String, String> environment;
  private String base;
  private Process process;

  @BeforeEach
  void open() throws Exception {
    postgres = PrivatePostgres.shared();
    shop = new FakeShop();
    gateway = new FakeGateway();
    int port = PrivatePostgres.freePort();
    base = "http://127.0.0.1:" + port;
    environment =
        TestSettings.environment(
            postgres, postgres.createDatabase(), shop.url(), gateway.url(), port);
  }

  @AfterEach
  void close() {
    if (process != null) {
      process.destroyForcibly();
    }
    gateway.close();
    shop.close();
  }

  @Test
  void killedDuringAPaymentItIsPaidOnce() throws Exception {
    start();
    await("/health/ready", 200);
    CompletableFuture<HttpResponse<byte[]>> checkout = checkOutSlowly();
    process.destroyForcibly().waitFor();
    assertTrue(checkout.handle((answer, error) -> error != null).join());
    gateway.delay(0);
    start();
    await("/health/ready", 200);
    HttpResponse<byte[]> again = checkOut().join();
    for (int i = 0; i < 60 && again.statusCode() == 409; i++) { // until the lease has run out
      again = checkOut().join();
    }
    assertEquals(201, again.statusCode());
    Object id = ((Map<?, ?>) Json.parse(again.body())).get("id");
    assertEquals(1, gateway.charges(id));
    assertEquals(9, shop.stock(PRODUCT));
  }

  @Test
  void terminatedDuringAPaymentItAnswersFirst() throws Exception {
    start();
    await("/health/ready", 200);
    CompletableFuture<HttpResponse<byte[]>> checkout = checkOutSlowly();
    process.destroy();
    assertEquals(201, checkout.join().statusCode());
    assertEquals(0, exitCode());
    assertTrue(log().contains("\"message\":\"stopped\""), log());
  }

  @Test
  void liveAtOnceAndReadyWhenTheOthersAre() throws Exception {
    shop.away("/.well-known", true);
    start();
    await("/health/live", 200);
    assertEquals(503, status("/health/ready"));
    assertEquals(503, status("/api/v1/orders"));
    assertEquals(404, status("/nowhere"));
    shop.away("/.well-known", false);
    await("/health/ready", 200);
    assertEquals(401, status("/api/v1/orders"));
  }

  @Test
  void itGivesUpAfterTheTimeItWasGiven() throws Exception {
    environment.put("DATABASE_PORT", "1");
    environment.put("STARTUP_TIMEOUT_S", "0.3");
    start();
    assertEquals(1, exitCode());
    assertTrue(log().contains("start-up failed: the database not up after 0.3 s"), log());
    assertFalse(log().contains("\"exception\""), log());
  }

  @Test
  void badSettingsAreALineEach() throws Exception {
    environment.put("DATABASE_PORT", "x");
    environment.remove("AUTH_URL");
    start();
    assertEquals(2, exitCode());
    assertEquals(
        """
        payments: DATABASE_PORT: input should be a valid integer
        payments: AUTH_URL: field required
        """,
        log());
  }

  @Test
  void aPortThatIsTakenIsSaid() throws Exception {
    environment.put("LISTEN_PORT", Integer.toString(shop.url().getPort()));
    start();
    assertEquals(1, exitCode());
    assertTrue(log().contains("cannot listen on 127.0.0.1:"), log());
  }

  /** Walks through all that the service does, which also makes the list of its classes. */
  @Test
  void eachLineOfTheLogIsJson() throws Exception {
    environment.put("LOG_LEVEL", "DEBUG");
    start();
    await("/health/ready", 200);
    await("/health/shop", 200);
    await("/metrics", 200);
    assertEquals(404, status("/nowhere"));
    assertEquals(409, checkOut().join().statusCode());
    shop.stock(PRODUCT, 5);
    shop.cart(user, Map.of(PRODUCT, 6));
    assertEquals(409, checkOut().join().statusCode());
    shop.cart(user, Map.of(PRODUCT, 1));
    assertEquals(201, checkOut().join().statusCode());
    assertEquals(201, checkOut().join().statusCode());
    assertEquals(200, get("/api/v1/orders", UUID.randomUUID()).statusCode());
    assertEquals(404, get("/api/v1/orders/" + UUID.randomUUID(), user).statusCode());
    assertEquals(422, get("/api/v1/orders?page=x", user).statusCode());
    gateway.be(FakeGateway.Mode.DECLINING);
    shop.cart(user, Map.of(PRODUCT, 1));
    key = UUID.randomUUID().toString();
    assertEquals(402, checkOut().join().statusCode());
    gateway.be(FakeGateway.Mode.FAILING);
    key = UUID.randomUUID().toString();
    assertEquals(502, checkOut().join().statusCode());
    process.destroy();
    assertEquals(0, exitCode());
    boolean found = false;
    for (String line : log().lines().toList()) {
      var entry = (Map<?, ?>) Json.parse(line.getBytes());
      assertEquals("dev", entry.get("release"), line);
      assertTrue(((String) entry.get("time")).endsWith("Z"), line);
      if ("trace-1".equals(entry.get("request_id"))) {
        found = true;
        assertEquals("payments.access", entry.get("logger"));
        assertEquals("info", entry.get("level"));
        assertEquals("request", entry.get("message"));
        assertEquals("/api/v1/orders", entry.get("route"));
        assertEquals(200, entry.get("status"));
        assertTrue(entry.get("duration_ms") instanceof Number);
      }
    }
    assertTrue(found);
  }

  private HttpResponse<byte[]> get(String path, UUID who) throws Exception {
    var request =
        HttpRequest.newBuilder(URI.create(base + path))
            .header("X-Request-ID", path.equals("/api/v1/orders") ? "trace-1" : "trace-2")
            .header("Authorization", shop.bearer(who));
    return http.send(request.build(), BodyHandlers.ofByteArray());
  }

  private CompletableFuture<HttpResponse<byte[]>> checkOutSlowly() throws InterruptedException {
    gateway.delay(800);
    shop.stock(PRODUCT, 10);
    shop.cart(user, Map.of(PRODUCT, 1));
    CompletableFuture<HttpResponse<byte[]>> checkout = checkOut();
    while (gateway.calls() == 0) {
      assertFalse(checkout.isDone());
      Thread.sleep(5);
    }
    return checkout;
  }

  private CompletableFuture<HttpResponse<byte[]>> checkOut() {
    var request =
        HttpRequest.newBuilder(URI.create(base + "/api/v1/checkout"))
            .header("Authorization", shop.bearer(user))
            .header("Idempotency-Key", key)
            .header("Content-Type", "application/json")
            .POST(BodyPublishers.ofString("{\"payment_method\": \"pm_card_visa\"}"));
    return http.sendAsync(request.build(), BodyHandlers.ofByteArray());
  }

  // PAYMENTS_JAVA names another virtual machine and its options: `make classes` uses it.
  private void start() throws IOException {
    String java = System.getenv("PAYMENTS_JAVA");
    List<String> command =
        new ArrayList<>(
            java == null
                ? List.of(ProcessHandle.current().info().command().orElseThrow())
                : List.of(java.split(" ")));
    command.addAll(List.of("-cp", System.getProperty("java.class.path"), "triptych.payments.Main"));
    var builder = new ProcessBuilder(command).redirectErrorStream(true);
    builder.redirectOutput(ProcessBuilder.Redirect.appendTo(files.resolve("log").toFile()));
    builder.environment().clear();
    builder.environment().putAll(environment);
    process = builder.start();
  }

  private int exitCode() throws InterruptedException {
    assertTrue(process.waitFor(60, TimeUnit.SECONDS));
    return process.exitValue();
  }

  private String log() throws IOException {
    return Files.readString(files.resolve("log"));
  }

  private void await(String path, int status) throws Exception {
    for (int i = 0; i < 3000; i++) {
      if (status(path) == status) {
        return;
      }
      assertTrue(process.isAlive(), log());
      Thread.sleep(20);
    }
    throw new AssertionError(path + " is not " + status + ": " + log());
  }

  private int status(String path) throws InterruptedException {
    try {
      var request = HttpRequest.newBuilder(URI.create(base + path)).build();
      return http.send(request, BodyHandlers.discarding()).statusCode();
    } catch (IOException error) {
      return 0;
    }
  }
}
