package triptych.payments.http;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.NullAndEmptySource;
import org.junit.jupiter.params.provider.ValueSource;

class RequestIdsTest {
  @ParameterizedTest
  @ValueSource(strings = {"x", "trace.me_4-7"})
  void aWellFormedIdIsKept(String offered) {
    assertEquals(offered, RequestIds.accept(offered));
    assertEquals("y".repeat(64), RequestIds.accept("y".repeat(64)));
  }

  @ParameterizedTest
  @NullAndEmptySource
  @ValueSource(strings = {"a b", "\"><script>", "ä", "x\n"})
  void anotherIsReplaced(String offered) {
    assertTrue(RequestIds.accept(offered).matches("[0-9a-f]{32}"));
    assertTrue(RequestIds.accept("x".repeat(65)).matches("[0-9a-f]{32}"));
  }

  @Test
  void aThreadWorksForTheRequestItWasGiven() throws Exception {
    var pool = Executors.newSingleThreadExecutor();
    try {
      Callable<String> current = RequestIds::current;
      for (String id : new String[] {"first", "second"}) {
        RequestIds.set(id);
        Callable<String> carried = RequestIds.carrying(current);
        RequestIds.set(null);
        assertEquals(id, pool.submit(carried).get());
        assertNull(pool.submit(current).get());
      }
    } finally {
      pool.shutdown();
    }
  }
}
