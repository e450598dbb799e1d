package triptych.payments;

import io.javalin.Javalin;
import java.net.URI;
import java.net.http.HttpClient;
import java.time.Clock;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import org.eclipse.jetty.server.Connector;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.handler.StatisticsHandler;
import org.slf4j.Logger;
import triptych.payments.checkout.CheckoutApi;
import triptych.payments.checkout.CheckoutService;
import triptych.payments.checkout.PaymentGateway;
import triptych.payments.checkout.Recovery;
import triptych.payments.database.Database;
import triptych.payments.database.Migrations;
import triptych.payments.health.HealthApi;
import triptych.payments.health.Startup;
import triptych.payments.http.Api;
import triptych.payments.http.Problem;
import triptych.payments.orders.OrderRepository;
import triptych.payments.orders.OrdersApi;
import triptych.payments.peers.CartService;
import triptych.payments.peers.Peer;
import triptych.payments.peers.ProductsService;
import triptych.payments.telemetry.Logs;
import triptych.payments.telemetry.Metrics;
import triptych.payments.tokens.AccessTokens;
import triptych.payments.tokens.KeySet;
import triptych.payments.tokens.Secured;

/** The parts of the service wired together, with its start and its stop. */
public final class PaymentsService {
  private static final String JWKS_PATH = "/.well-known/jwks.json";
  private static final int OK = 200;
  private static final Duration DRAIN_POLL = Duration.ofMillis(10);

  private static final Logger LOG = Logs.logger("service");

  private final Settings settings;
  private final Database database;
  private final KeySet keys;
  private final PaymentGateway gateway;
  private final Startup startup;
  private final Recovery recovery;
  private final CheckoutApi checkoutApi;
  private final Javalin server;
  private final ExecutorService checks =
      Executors.newCachedThreadPool(task -> daemon(task, "check"));
  private final ScheduledExecutorService background =
      Executors.newScheduledThreadPool(1, task -> daemon(task, "background"));
  private final Thread main = daemon(this::startThenRecover, "recovery");
  private Runnable onFailure;

  /** Wires the parts; nothing connects or listens yet. */
  public PaymentsService(Settings settings) {
    this.settings = settings;
    var metrics = new Metrics();
    Supplier<HttpClient> http = Peer.client(settings.serviceTimeout());
    database = new Database(settings);
    gateway = new PaymentGateway(settings, metrics);
    Peer auth = peer(http, "auth", settings.authUrl());
    keys = new KeySet(() -> keySet(auth));
    startup = new Startup(settings.startupTimeout());
    startup.needs("auth service", keys::fetch, () -> null);
    startup.needs(Database.NAME, () -> Migrations.run(database), database::lastFailure);

    var orders = new OrderRepository(database);
    var checkout =
        new CheckoutService(
            orders,
            new CartService(peer(http, "cart", settings.cartUrl())),
            new ProductsService(peer(http, "products", settings.productsUrl())),
            gateway,
            metrics,
            settings.paymentLease());
    recovery = new Recovery(orders, checkout, settings.paymentLease(), settings.recoveryInterval());

    var tokens =
        new AccessTokens(keys, settings.jwtIssuer(), settings.jwtAudience(), Clock.systemUTC());
    var secured = new Secured(startup, tokens);
    checkoutApi = new CheckoutApi(checkout, secured);
    Map<String, Peer> parts = new LinkedHashMap<>();
    settings.shopParts().forEach((name, url) -> parts.put(name, peer(http, name, url)));
    server =
        Api.create(
            settings.listenHost(),
            settings.listenPort(),
            metrics,
            List.of(
                checkoutApi::addTo,
                new OrdersApi(orders, secured)::addTo,
                new HealthApi(startup, database::ping, parts, metrics, checks)::addTo));
  }

  private Peer peer(Supplier<HttpClient> http, String name, URI url) {
    return new Peer(http, url, name + " service", settings.serviceTimeout());
  }

  private static String keySet(Peer auth) {
    Peer.Reply reply = auth.call("GET", JWKS_PATH, null);
    if (reply.status() != OK) {
      throw Problem.unavailable("auth service", null);
    }
    return reply.text();
  }

  private static Thread daemon(Runnable task, String name) {
    var thread = new Thread(task, name);
    thread.setDaemon(true);
    return thread;
  }

  /**
   * Listens, and gets ready in the background.
   *
   * @param onFailure called if it can't get ready
   */
  public void start(Runnable onFailure) {
    this.onFailure = onFailure;
    server.start();
    main.start();
  }

  private void startThenRecover() {
    if (!startup.run()) {
      onFailure.run();
      return;
    }
    gateway.warmUp();
    background.scheduleWithFixedDelay(
        keys::refresh, KeySet.MAX_AGE.toSeconds(), KeySet.MAX_AGE.toSeconds(), TimeUnit.SECONDS);
    recovery.run();
  }

  /** Accepts no more connections, lets requests finish, and stops. */
  public void stop() {
    Server jetty = server.jettyServer().server();
    for (Connector connector : jetty.getConnectors()) {
      connector.shutdown();
    }
    main.interrupt();
    awaitRequests(jetty);
    background.shutdownNow();
    server.stop();
    checkoutApi.close();
    gateway.close();
    database.close();
    LOG.info("stopped");
  }

  private void awaitRequests(Server jetty) {
    var requests = jetty.getDescendant(StatisticsHandler.class);
    long deadline = System.nanoTime() + settings.shutdownGrace().toNanos();
    try {
      while (requests.getRequestsActive() > 0 && System.nanoTime() < deadline) {
        Thread.sleep(DRAIN_POLL.toMillis());
      }
    } catch (InterruptedException error) {
      Thread.currentThread().interrupt();
    }
  }
}
