package triptych.payments.http;

import java.time.Instant;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeFormatterBuilder;
import java.util.Locale;

/** Times as RFC 3339 in UTC, with a fixed number of digits so that their texts sort as they do. */
public final class Times {
  // Not by a pattern: that would load the locales' calendars at start-up.
  private static final DateTimeFormatter MILLIS =
      new DateTimeFormatterBuilder().appendInstant(3).toFormatter(Locale.ROOT);
  private static final DateTimeFormatter MICROS =
      new DateTimeFormatterBuilder().appendInstant(6).toFormatter(Locale.ROOT);

  private Times() {}

  /** Returns the time to the millisecond. */
  public static String millis(Instant time) {
    return MILLIS.format(time);
  }

  /** Returns the time to the microsecond, which is what the database keeps. */
  public static String micros(Instant time) {
    return MICROS.format(time);
  }
}
