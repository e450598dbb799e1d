package triptych.payments.http;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class LenientTargetsTest {
  @ParameterizedTest
  @CsvSource({
    "/a/b?c=d, /a/b?c=d",
    "/%20%2F%ff, /%20%2F%ff",
    "/%00, /%2500",
    "/%zz, /%25zz",
    "/%, /%25",
    "/%4, /%254",
    "/%u0041, /%25u0041",
    "/%2500, /%2500",
  })
  void whatIsNoEscapeIsEscaped(String target, String escaped) {
    assertEquals(escaped, LenientTargets.escaped(target));
  }

  @Test
  void noTargetStaysNone() {
    assertNull(LenientTargets.escaped(null));
  }
}
