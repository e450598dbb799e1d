package triptych.payments.fakes;

import com.nimbusds.jose.JOSEException;
import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.JWSHeader;
import com.nimbusds.jose.crypto.ECDSASigner;
import com.nimbusds.jose.jwk.Curve;
import com.nimbusds.jose.jwk.ECKey;
import com.nimbusds.jose.jwk.JWKSet;
import com.nimbusds.jose.jwk.gen.ECKeyGenerator;
import com.nimbusds.jwt.JWTClaimsSet;
import com.nimbusds.jwt.SignedJWT;
import com.sun.net.httpserver.HttpExchange;
import java.io.IOException;
import java.time.Instant;
import java.util.Date;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Collectors;
import triptych.payments.http.Json;

/** The auth, products and cart services in one, by their internal API, with state in memory. */
public final class FakeShop extends FakeServer {
  private static final int PRICE_MINOR = 1250;
  private static final Answer UNAVAILABLE = new Answer(503, "{}");

  private final ECKey key;
  private final Map<Integer, Integer> stock = new ConcurrentHashMap<>();
  private final Map<String, Map<Integer, Integer>> carts = new ConcurrentHashMap<>();
  private final Map<String, Map<Integer, Integer>> reservations = new ConcurrentHashMap<>();
  private final Set<String> released = new HashSet<>();
  private final Set<String> purchases = new HashSet<>();
  private final Set<String> away = ConcurrentHashMap.newKeySet();
  private final AtomicInteger readyAsked = new AtomicInteger();
  private volatile CountDownLatch readyHeld = new CountDownLatch(0);

  /** Opens with nothing in stock. */
  public FakeShop() throws IOException, JOSEException {
    super((method, path, body, exchange) -> UNAVAILABLE);
    key =
        new ECKeyGenerator(Curve.P_256)
            .keyIDFromThumbprint(true)
            .algorithm(JWSAlgorithm.ES256)
            .generate();
    behave(this::answer);
  }

  /** Answers 503 to what begins with the path, or not any more. */
  public void away(String path, boolean isAway) {
    if (isAway) {
      away.add(path);
    } else {
      away.remove(path);
    }
  }

  /** Answers nobody who asks whether it is ready before the latch is down. */
  public void holdReady(CountDownLatch latch) {
    readyHeld = latch;
  }

  /** Returns how often it was asked whether it is ready. */
  public int readyAsked() {
    return readyAsked.get();
  }

  /** Puts products on the shelf. */
  public void stock(int productId, int quantity) {
    stock.put(productId, quantity);
  }

  /** Returns what is left of a product. */
  public int stock(int productId) {
    return stock.get(productId);
  }

  /** Fills the user's cart. */
  public void cart(UUID userId, Map<Integer, Integer> quantities) {
    carts.put(userId.toString(), new TreeMap<>(quantities));
  }

  /** Returns what is in the user's cart. */
  public Map<Integer, Integer> cart(UUID userId) {
    return carts.getOrDefault(userId.toString(), Map.of());
  }

  /** Returns the published keys. */
  public String keySet() {
    return new JWKSet(key.toPublicJWK()).toString();
  }

  /** Returns an Authorization header of a user. */
  public String bearer(UUID userId) {
    var claims =
        new JWTClaimsSet.Builder()
            .issuer("triptych")
            .audience("triptych-shop")
            .subject(userId.toString())
            .issueTime(Date.from(Instant.now()))
            .expirationTime(Date.from(Instant.now().plusSeconds(900)))
            .build();
    var token =
        new SignedJWT(
            new JWSHeader.Builder(JWSAlgorithm.ES256).keyID(key.getKeyID()).build(), claims);
    try {
      token.sign(new ECDSASigner(key));
    } catch (JOSEException error) {
      throw new IllegalStateException(error);
    }
    return "Bearer " + token.serialize();
  }

  private Answer answer(String method, String path, String body, HttpExchange exchange)
      throws InterruptedException {
    if (path.equals("/health/ready")) {
      readyAsked.incrementAndGet();
      readyHeld.await();
    }
    return answerNow(method, path, body);
  }

  private synchronized Answer answerNow(String method, String path, String body) {
    if (away.stream().anyMatch(path::startsWith)) {
      return UNAVAILABLE;
    }
    String[] parts = path.split("/");
    if (path.equals("/.well-known/jwks.json")) {
      return new Answer(200, keySet());
    }
    if (path.equals("/health/ready")) {
      return new Answer(200, "{}");
    }
    if (path.startsWith("/internal/v1/reservations/")) {
      return method.equals("PUT") ? reserve(parts[4], lines(body)) : release(parts[4]);
    }
    if (path.startsWith("/internal/v1/carts/")) {
      return method.equals("GET") ? cartOf(parts[4]) : purchase(parts[4], parts[6], lines(body));
    }
    return new Answer(404, "{}");
  }

  private Answer reserve(String id, Map<Integer, Integer> lines) {
    if (released.contains(id)) {
      return new Answer(409, "{\"type\": \"urn:triptych:problem:reservation-released\"}");
    }
    if (!reservations.containsKey(id)) {
      String shortages =
          lines.entrySet().stream()
              .filter(line -> stock.getOrDefault(line.getKey(), 0) < line.getValue())
              .map(
                  line ->
                      "{\"product_id\": %d, \"requested\": %d, \"available\": %d}"
                          .formatted(
                              line.getKey(), line.getValue(), stock.getOrDefault(line.getKey(), 0)))
              .collect(Collectors.joining(","));
      if (!shortages.isEmpty()) {
        return new Answer(
            409,
            "{\"type\": \"urn:triptych:problem:out-of-stock\", \"shortages\": ["
                + shortages
                + "]}");
      }
      lines.forEach((product, quantity) -> stock.merge(product, -quantity, Integer::sum));
      reservations.put(id, lines);
    }
    return new Answer(
        200,
        lines.entrySet().stream()
            .map(
                line ->
                    ("{\"product_id\": %d, \"name\": \"Product %d\", \"unit_price\":"
                            + " {\"amount\": %d, \"currency\": \"EUR\"}, \"quantity\": %d}")
                        .formatted(line.getKey(), line.getKey(), PRICE_MINOR, line.getValue()))
            .collect(Collectors.joining(",", "{\"lines\": [", "]}")));
  }

  private Answer release(String id) {
    Map<Integer, Integer> taken = reservations.remove(id);
    if (taken != null) {
      taken.forEach((product, quantity) -> stock.merge(product, quantity, Integer::sum));
    }
    released.add(id);
    return new Answer(204, "");
  }

  private Answer cartOf(String userId) {
    return new Answer(
        200,
        carts.getOrDefault(userId, Map.of()).entrySet().stream()
            .map(
                line ->
                    "{\"product_id\": %d, \"quantity\": %d}"
                        .formatted(line.getKey(), line.getValue()))
            .collect(Collectors.joining(",", "{\"version\": \"1\", \"lines\": [", "]}")));
  }

  private Answer purchase(String userId, String orderId, Map<Integer, Integer> bought) {
    if (purchases.add(orderId)) {
      Map<Integer, Integer> cart = carts.getOrDefault(userId, new TreeMap<>());
      bought.forEach(
          (product, quantity) ->
              cart.computeIfPresent(
                  product, (id, held) -> held > quantity ? held - quantity : null));
    }
    return new Answer(204, "");
  }

  private static Map<Integer, Integer> lines(String body) {
    try {
      var document = (Map<?, ?>) Json.parse(body.getBytes());
      var lines = new TreeMap<Integer, Integer>();
      for (Object item : (List<?>) document.get("lines")) {
        var line = (Map<?, ?>) item;
        lines.put((Integer) line.get("product_id"), (Integer) line.get("quantity"));
      }
      return lines;
    } catch (IOException error) {
      throw new IllegalStateException(error);
    }
  }
}
