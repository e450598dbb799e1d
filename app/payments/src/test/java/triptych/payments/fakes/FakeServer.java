package triptych.payments.fakes;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/** An HTTP server whose answers a test decides on. */
public class FakeServer implements AutoCloseable {
  /** What it answers; a status of 0 hangs up. */
  public record Answer(int status, String body) {}

  /** Decides on an answer. */
  @FunctionalInterface
  public interface Behaviour {
    /** Returns the answer to a request. */
    Answer answer(String method, String path, String body, HttpExchange exchange)
        throws InterruptedException;
  }

  private final HttpServer server;
  private final ExecutorService threads = Executors.newCachedThreadPool();
  private volatile Behaviour behaviour;

  /** Listens, and behaves so. */
  public FakeServer(Behaviour behaviour) throws IOException {
    this.behaviour = behaviour;
    server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
    server.createContext("/", this::handle);
    server.setExecutor(threads);
    server.start();
  }

  /** Behaves so from now on. */
  public final void behave(Behaviour next) {
    behaviour = next;
  }

  /** Returns where it is. */
  public final URI url() {
    return URI.create("http://127.0.0.1:" + server.getAddress().getPort());
  }

  private void handle(HttpExchange exchange) throws IOException {
    String body = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
    try {
      Answer answer =
          behaviour.answer(
              exchange.getRequestMethod(), exchange.getRequestURI().getPath(), body, exchange);
      if (answer.status > 0) {
        byte[] bytes = answer.body.getBytes(StandardCharsets.UTF_8);
        exchange.getResponseHeaders().set("Content-Type", "application/json");
        exchange.sendResponseHeaders(answer.status, bytes.length == 0 ? -1 : bytes.length);
        exchange.getResponseBody().write(bytes);
      }
    } catch (InterruptedException closing) {
      Thread.currentThread().interrupt();
    } finally {
      exchange.close();
    }
  }

  @Override
  public void close() {
    server.stop(0);
    threads.shutdownNow();
  }
}
