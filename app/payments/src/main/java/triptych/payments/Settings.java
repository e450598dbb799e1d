package triptych.payments;

import java.net.URI;
import java.time.Duration;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Everything that can be configured, and the one place that knows the environment's names for it.
 * Secrets come from files that {@code *_FILE} variables name.
 */
public record Settings(
    String listenHost,
    int listenPort,
    String logLevel,
    String release,
    String databaseHost,
    int databasePort,
    String databaseName,
    String databaseUser,
    Secret databasePassword,
    int databasePoolSize,
    Duration databaseTimeout,
    Duration startupTimeout,
    Duration shutdownGrace,
    String jwtIssuer,
    String jwtAudience,
    URI authUrl,
    URI productsUrl,
    URI cartUrl,
    Duration serviceTimeout,
    Map<String, URI> shopParts,
    URI stripeApiBase,
    Secret stripeApiKey,
    Duration stripeTimeout,
    int stripeMaxRetries,
    Duration recoveryInterval) {

  /** Longest time that the SDK waits between two tries of one payment. */
  private static final Duration STRIPE_PAUSE = Duration.ofSeconds(2);

  /** Reads the settings; the exception names every variable at fault. */
  public static Settings from(Map<String, String> environment) throws SettingsException {
    var read = new SettingsReader(environment);
    var settings =
        new Settings(
            read.text("LISTEN_HOST", "127.0.0.1"),
            read.integer("LISTEN_PORT", 1, 65535, 8004),
            read.oneOf("LOG_LEVEL", List.of("DEBUG", "INFO", "WARNING", "ERROR"), "INFO"),
            read.text("RELEASE", "dev"),
            read.text("DATABASE_HOST", null),
            read.integer("DATABASE_PORT", 1, 65535, 5432),
            read.text("DATABASE_NAME", "shop"),
            read.text("DATABASE_USER", "shop"),
            read.secret("DATABASE_PASSWORD_FILE"),
            read.integer("DATABASE_POOL_SIZE", 1, 100, 5),
            read.seconds("DATABASE_TIMEOUT_S", 5),
            read.seconds("STARTUP_TIMEOUT_S", 600),
            Duration.ofSeconds(read.integer("SHUTDOWN_GRACE_S", 1, 120, 10)),
            read.text("JWT_ISSUER", "triptych"),
            read.text("JWT_AUDIENCE", "triptych-shop"),
            read.url("AUTH_URL"),
            read.url("PRODUCTS_URL"),
            read.url("CART_URL"),
            read.seconds("SERVICE_TIMEOUT_S", 1),
            read.urlsByName("SHOP_PARTS"),
            read.url("STRIPE_API_BASE"),
            read.secret("STRIPE_API_KEY_FILE"),
            read.seconds("STRIPE_TIMEOUT_S", 4),
            read.integer("STRIPE_MAX_RETRIES", 0, 5, 1),
            read.seconds("RECOVERY_INTERVAL_S", 5));
    read.complain();
    return settings;
  }

  /** Keeps the order in which the parts were named. */
  public Settings {
    if (shopParts != null) {
      shopParts = Collections.unmodifiableMap(new LinkedHashMap<>(shopParts));
    }
  }

  /** Longest time that one payment with its repetitions can take. */
  public Duration paymentDeadline() {
    return stripeTimeout
        .multipliedBy(1L + stripeMaxRetries)
        .plus(STRIPE_PAUSE.multipliedBy(stripeMaxRetries));
  }

  /** How long a process may keep an order to itself; longer than any payment that it makes. */
  public Duration paymentLease() {
    return paymentDeadline().multipliedBy(2).plusSeconds(2);
  }
}
