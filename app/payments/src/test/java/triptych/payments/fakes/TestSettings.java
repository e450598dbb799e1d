package triptych.payments.fakes;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import triptych.payments.Settings;
import triptych.payments.SettingsException;

/** Settings for the private database and the fakes, with time-outs that can be waited for. */
public final class TestSettings {
  private static final String NOWHERE = "http://127.0.0.1:1";

  private TestSettings() {}

  /** Returns settings for the database alone. */
  public static Settings database(PrivatePostgres postgres, String database)
      throws IOException, SettingsException {
    return Settings.from(
        environment(postgres, database, URI.create(NOWHERE), URI.create(NOWHERE), 1));
  }

  /** Returns the environment of a service that listens on a port. */
  public static Map<String, String> environment(
      PrivatePostgres postgres, String database, URI shop, URI gateway, int port)
      throws IOException {
    Path password = Files.createTempFile("payments-", ".secret");
    password.toFile().deleteOnExit();
    Files.writeString(password, PrivatePostgres.PASSWORD);
    var environment = new HashMap<String, String>();
    environment.put("DATABASE_HOST", "127.0.0.1");
    environment.put("DATABASE_PORT", Integer.toString(postgres.port()));
    environment.put("DATABASE_NAME", database);
    environment.put("DATABASE_PASSWORD_FILE", password.toString());
    environment.put("STRIPE_API_KEY_FILE", password.toString());
    environment.put("STRIPE_API_BASE", gateway.toString());
    environment.put("STRIPE_TIMEOUT_S", "1");
    environment.put("STRIPE_MAX_RETRIES", "1");
    environment.put("RECOVERY_INTERVAL_S", "0.2");
    environment.put("AUTH_URL", shop.toString());
    environment.put("PRODUCTS_URL", shop.toString());
    environment.put("CART_URL", shop.toString());
    environment.put("SHOP_PARTS", "auth=" + shop + ",cart=" + shop);
    environment.put("LISTEN_PORT", Integer.toString(port));
    return environment;
  }
}
