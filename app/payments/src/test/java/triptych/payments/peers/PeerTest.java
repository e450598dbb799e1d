package triptych.payments.peers;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import triptych.payments.fakes.FakeServer;
import triptych.payments.fakes.FakeServer.Answer;
import triptych.payments.http.Json;
import triptych.payments.http.Problem;
import triptych.payments.http.RequestIds;

class PeerTest {
  private static final Duration TIMEOUT = Duration.ofSeconds(1);

  private final AtomicInteger calls = new AtomicInteger();
  private FakeServer server;
  private Peer peer;

  @BeforeEach
  void open() throws IOException {
    server = new FakeServer((method, path, body, exchange) -> new Answer(200, "{}"));
    peer = new Peer(Peer.client(TIMEOUT), server.url(), "cart service", TIMEOUT);
  }

  @AfterEach
  void close() {
    server.close();
  }

  @Test
  void aCallCarriesBodyAndRequestId() {
    var id = new AtomicReference<String>();
    server.behave(
        (method, path, body, exchange) -> {
          id.set(exchange.getRequestHeaders().getFirst(RequestIds.HEADER));
          return new Answer(409, "{\"said\": \"" + method + path + body + "\"}");
        });
    var reply = new AtomicReference<Peer.Reply>();
    RequestIds.as(
        "trace-7", () -> reply.set(peer.call("PUT", "/x", "1".getBytes(StandardCharsets.UTF_8))));
    assertEquals(409, reply.get().status());
    assertEquals(Map.of("said", "PUT/x1"), reply.get().object());
    assertEquals("trace-7", id.get());
  }

  @Test
  void aLostAnswerIsAskedForAgain() {
    server.behave(
        (method, path, body, exchange) ->
            calls.incrementAndGet() == 1 ? new Answer(0, "") : new Answer(204, ""));
    assertEquals(204, peer.call("DELETE", "/x", null).status());
    assertEquals(2, calls.get());
  }

  @Test
  void itIsAskedTwiceAtMost() {
    server.behave(
        (method, path, body, exchange) -> {
          calls.incrementAndGet();
          return new Answer(500, "");
        });
    assertEquals("cart service", missing(peer));
    assertEquals(2, calls.get());
  }

  @Test
  void aServiceCanAnswerForAnotherPart() {
    server.behave(
        (method, path, body, exchange) -> new Answer(503, "{\"dependency\": \"cart store\"}"));
    assertEquals("cart store", missing(peer));
  }

  @Test
  void silenceIsNotWaitedForLongerThanAllowed() {
    server.behave(
        (method, path, body, exchange) -> {
          Thread.sleep(60_000);
          return new Answer(200, "{}");
        });
    long started = System.nanoTime();
    assertEquals("cart service", missing(peer));
    assertTrue(Duration.ofNanos(System.nanoTime() - started).compareTo(TIMEOUT.plusSeconds(4)) < 0);
    assertEquals(0, peer.status("/x").join());
  }

  @Test
  void nobodyThereIsUnavailable() {
    var nobody =
        new Peer(Peer.client(TIMEOUT), URI.create("http://127.0.0.1:1"), "auth service", TIMEOUT);
    assertEquals("auth service", missing(nobody));
    assertEquals(0, nobody.status("/x").join());
  }

  private static String missing(Peer asked) {
    var problem = assertThrows(Problem.class, () -> asked.call("GET", "/x", null));
    try {
      var document = (Map<?, ?>) Json.parse(problem.body("/", "id"));
      return (String) document.get("dependency");
    } catch (IOException error) {
      throw new IllegalStateException(error);
    }
  }
}
