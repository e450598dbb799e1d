package triptych.payments.http;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.time.Instant;
import org.junit.jupiter.api.Test;

class TimesTest {
  @Test
  void theNumberOfDigitsIsFixed() {
    Instant time = Instant.parse("2026-01-02T03:04:05.100Z");
    assertEquals("2026-01-02T03:04:05.100Z", Times.millis(time));
    assertEquals("2026-01-02T03:04:05.100000Z", Times.micros(time));
  }
}
