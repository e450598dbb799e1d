package triptych.payments.http;

import java.security.SecureRandom;
import java.util.HexFormat;
import java.util.concurrent.Callable;
import java.util.regex.Pattern;
import org.slf4j.MDC;

/** The id of the request that the current thread works for; logs and calls carry it on. */
public final class RequestIds {
  /** Header that carries it. */
  public static final String HEADER = "X-Request-ID";

  /** Its name in logs. */
  public static final String KEY = "request_id";

  private static final Pattern ACCEPTED = Pattern.compile("[A-Za-z0-9._-]{1,64}");
  private static final SecureRandom RANDOM = new SecureRandom();

  private RequestIds() {}

  /** Returns the caller's id if it is well formed, else a fresh one. */
  public static String accept(String offered) {
    return offered != null && ACCEPTED.matcher(offered).matches() ? offered : fresh();
  }

  /** Returns a new id. */
  public static String fresh() {
    var bytes = new byte[16];
    RANDOM.nextBytes(bytes);
    return HexFormat.of().formatHex(bytes);
  }

  /** Returns the current id, or null outside of any request. */
  public static String current() {
    return MDC.get(KEY);
  }

  /** Returns a task that works for the current request, whichever thread runs it. */
  public static Runnable carry(Runnable task) {
    String id = current();
    return () -> as(id, task);
  }

  /** Returns a call that works for the current request, whichever thread makes it. */
  public static <T> Callable<T> carrying(Callable<T> call) {
    String id = current();
    return () -> {
      String before = current();
      set(id);
      try {
        return call.call();
      } finally {
        set(before);
      }
    };
  }

  /** Runs a task for the request of an id. */
  public static void as(String id, Runnable task) {
    String before = current();
    set(id);
    try {
      task.run();
    } finally {
      set(before);
    }
  }

  static void set(String id) {
    if (id == null) {
      MDC.remove(KEY);
    } else {
      MDC.put(KEY, id);
    }
  }
}
