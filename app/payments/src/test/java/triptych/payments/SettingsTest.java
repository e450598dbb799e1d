package triptych.payments;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class SettingsTest {
  @TempDir Path files;
  private final Map<String, String> environment = new HashMap<>();

  @BeforeEach
  void completeEnvironment() throws IOException {
    Path secret = Files.writeString(files.resolve("secret"), " sesame\n");
    environment.put("DATABASE_HOST", "postgres");
    environment.put("DATABASE_PASSWORD_FILE", secret.toString());
    environment.put("STRIPE_API_KEY_FILE", secret.toString());
    environment.put("STRIPE_API_BASE", "http://stripe-mock:12111");
    environment.put("AUTH_URL", "http://auth:8001");
    environment.put("PRODUCTS_URL", "http://products:8002");
    environment.put("CART_URL", "http://cart:8003");
  }

  @Test
  void whatIsNotSetHasItsDefault() throws SettingsException {
    Settings settings = Settings.from(environment);
    assertEquals("127.0.0.1", settings.listenHost());
    assertEquals(8004, settings.listenPort());
    assertEquals("sesame", settings.stripeApiKey().value());
    assertEquals(Duration.ofSeconds(1), settings.serviceTimeout());
    assertEquals(Map.of(), settings.shopParts());
    // Two calls of 4 s with a pause of 2 s between them; twice that and 2 s more.
    assertEquals(Duration.ofSeconds(10), settings.paymentDeadline());
    assertEquals(Duration.ofSeconds(22), settings.paymentLease());
  }

  @Test
  void partsKeepTheirOrder() throws SettingsException {
    environment.put("SHOP_PARTS", "products=http://products:8002, auth=http://auth:8001");
    Map<String, URI> parts = Settings.from(environment).shopParts();
    assertEquals(List.of("products", "auth"), List.copyOf(parts.keySet()));
    assertEquals(URI.create("http://auth:8001"), parts.get("auth"));
  }

  @Test
  void secretsDoNotShow() throws SettingsException {
    assertFalse(Settings.from(environment).toString().contains("sesame"));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          DATABASE_PORT          | x            | input should be a valid integer
          LISTEN_PORT            | 70000        | input should be between 1 and 65535
          DATABASE_HOST          | ''           | field required
          LOG_LEVEL              | LOUD         | input should be 'DEBUG', 'INFO', 'WARNING' or 'ERROR'
          STRIPE_TIMEOUT_S       | 0            | input should be greater than 0 and at most 86400
          STRIPE_TIMEOUT_S       | soon         | input should be a valid number
          STRIPE_API_BASE        | ftp://x      | input should be an http or https URL
          CART_URL               | ''           | field required
          SHOP_PARTS             | auth         | input should be name=url,name=url
          STRIPE_API_KEY_FILE    | ''           | not set; it names the file that holds the secret
          STRIPE_API_KEY_FILE    | /dev/null    | /dev/null is empty
          DATABASE_PASSWORD_FILE | /nonexistent | cannot read /nonexistent: No such file or directory
          """)
  void eachFaultIsOneLine(String variable, String value, String fault) {
    environment.put(variable, value);
    var error = assertThrows(SettingsException.class, () -> Settings.from(environment));
    assertEquals(List.of(variable + ": " + fault), error.lines());
  }

  @Test
  void allFaultsAreNamedAtOnce() {
    environment.put("DATABASE_PORT", "0");
    environment.remove("AUTH_URL");
    var error = assertThrows(SettingsException.class, () -> Settings.from(environment));
    assertEquals(2, error.lines().size());
  }
}
