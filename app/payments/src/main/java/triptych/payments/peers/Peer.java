package triptych.payments.peers;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Supplier;
import javax.net.ssl.SSLParameters;
import triptych.payments.http.Json;
import triptych.payments.http.Problem;
import triptych.payments.http.RequestIds;

/**
 * Another service of the shop. Every call to it can be repeated, so a failed one is, once, 50 ms
 * later and within the same time-out.
 */
public final class Peer {
  private static final Duration RETRY_PAUSE = Duration.ofMillis(50);
  private static final int SERVER_ERROR = 500;

  private final Supplier<HttpClient> http;
  private final String base;
  private final String name;
  private final Duration timeout;

  /**
   * Names a service; nothing connects yet.
   *
   * @param name what it is called in answers, such as {@code cart service}
   * @param timeout longest time for a call with its repetition
   */
  public Peer(Supplier<HttpClient> http, URI base, String name, Duration timeout) {
    this.http = http;
    this.base = base.toString().replaceAll("/+$", "");
    this.name = name;
    this.timeout = timeout;
  }

  /** Returns a client for all peers, made when it is first needed: it is not that cheap. */
  public static Supplier<HttpClient> client(Duration connectTimeout) {
    return new Supplier<>() {
      private HttpClient client;

      @Override
      public synchronized HttpClient get() {
        if (client == null) {
          client =
              HttpClient.newBuilder()
                  .version(HttpClient.Version.HTTP_1_1)
                  .connectTimeout(connectTimeout)
                  .sslContext(new LazyTls())
                  .sslParameters(new SSLParameters())
                  .build();
        }
        return client;
      }
    };
  }

  /** An answer: its status, its body, and the JSON document in it, null if there is none. */
  public record Reply(int status, String text, Object document) {
    /** Returns the document, which has to be an object. */
    @SuppressWarnings("unchecked") // Json.parse makes such maps only
    public Map<String, Object> object() {
      if (document instanceof Map<?, ?> members) {
        return (Map<String, Object>) members;
      }
      throw new IllegalStateException("not a JSON object");
    }
  }

  /**
   * Calls the service.
   *
   * @param body JSON, or null for none
   * @throws Problem 503 if it does not answer, or answers that it cannot at present
   */
  public Reply call(String method, String path, byte[] body) {
    long deadline = System.nanoTime() + timeout.toNanos();
    HttpRequest request = request(method, path, body);
    try {
      HttpResponse<byte[]> response = attempt(request, deadline);
      if (response == null || response.statusCode() >= SERVER_ERROR) {
        Thread.sleep(RETRY_PAUSE.toMillis());
        response = attempt(request, deadline);
      }
      if (response == null) {
        throw Problem.unavailable(name, null);
      }
      return reply(response);
    } catch (InterruptedException error) {
      Thread.currentThread().interrupt();
      throw Problem.unavailable(name, error);
    }
  }

  /** Returns a call's status as soon as it is there; 0 if it fails or takes too long. */
  public CompletableFuture<Integer> status(String path) {
    return http.get()
        .sendAsync(request("GET", path, null), BodyHandlers.discarding())
        .thenApply(HttpResponse::statusCode)
        .completeOnTimeout(0, timeout.toMillis(), TimeUnit.MILLISECONDS)
        .exceptionally(error -> 0);
  }

  private HttpRequest request(String method, String path, byte[] body) {
    BodyPublisher content =
        body == null ? BodyPublishers.noBody() : BodyPublishers.ofByteArray(body);
    var builder = HttpRequest.newBuilder(URI.create(base + path)).method(method, content);
    if (body != null) {
      builder.setHeader("Content-Type", "application/json");
    }
    String requestId = RequestIds.current();
    if (requestId != null) {
      builder.setHeader(RequestIds.HEADER, requestId);
    }
    return builder.build();
  }

  /** Returns null for no answer. */
  private HttpResponse<byte[]> attempt(HttpRequest request, long deadline)
      throws InterruptedException {
    long left = deadline - System.nanoTime();
    if (left <= 0) {
      return null;
    }
    var response = http.get().sendAsync(request, BodyHandlers.ofByteArray());
    try {
      return response.get(left, TimeUnit.NANOSECONDS);
    } catch (TimeoutException error) {
      response.cancel(true);
      return null;
    } catch (ExecutionException error) {
      if (error.getCause() instanceof IOException) {
        return null;
      }
      throw new IllegalStateException(error.getCause());
    }
  }

  private Reply reply(HttpResponse<byte[]> response) {
    Object document = null;
    try {
      if (response.body().length > 0) {
        document = Json.parse(response.body());
      }
    } catch (IOException error) {
      throw Problem.unavailable(name, error); // something in between answered
    }
    if (response.statusCode() >= SERVER_ERROR) {
      throw Problem.unavailable(missing(document), null);
    }
    return new Reply(
        response.statusCode(), new String(response.body(), StandardCharsets.UTF_8), document);
  }

  // A service that answers for another part says which one.
  private String missing(Object document) {
    return document instanceof Map<?, ?> problem
            && problem.get("dependency") instanceof String dependency
        ? dependency
        : name;
  }
}
