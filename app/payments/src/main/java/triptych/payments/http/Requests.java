package triptych.payments.http;

import io.javalin.http.Context;
import java.io.IOException;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Locale;
import triptych.payments.http.FieldError.Location;

/** What endpoints read from requests, checked in the contract's order. */
public final class Requests {
  private static final int MOST_DIGITS = 10;

  private Requests() {}

  /**
   * Returns the JSON document in the body; {@link #NO_BODY} if there is none.
   *
   * @throws Problem 415 unless it is declared as JSON in UTF-8; 400 if it is not JSON
   */
  public static Object json(Context ctx) {
    requireJson(ctx.header("Content-Type"));
    byte[] body = ctx.bodyAsBytes();
    if (body.length == 0) {
      return NO_BODY;
    }
    try {
      return Json.parse(body);
    } catch (IOException error) {
      throw Problem.of(ProblemType.MALFORMED_JSON, "The body cannot be parsed as JSON.", error);
    }
  }

  /** What {@link #json} returns for an empty body. */
  public static final Object NO_BODY = new Object();

  private static void requireJson(String declared) {
    String[] parts = (declared == null ? "" : declared).split(";", 2);
    String charset =
        parts.length == 1 ? "" : parts[1].strip().toLowerCase(Locale.ROOT).replace("\"", "");
    if (!parts[0].strip().equalsIgnoreCase("application/json")
        || !(charset.isEmpty() || charset.equals("charset=utf-8"))) {
      throw Problem.of(
          ProblemType.UNSUPPORTED_MEDIA_TYPE, "Send the body with Content-Type: application/json.");
    }
  }

  /** Returns a whole number of the query, the last one if it is there more than once. */
  public static int queryInteger(
      Context ctx, String name, int most, int byDefault, List<FieldError> errors) {
    String text = lastQueryValue(ctx.queryString(), name);
    if (text == null) {
      return byDefault;
    }
    if (!isDigits(text)) {
      errors.add(
          new FieldError(Location.QUERY, name, "Input should be a whole number in plain digits"));
      return byDefault;
    }
    long value = Long.parseLong(text);
    if (value < 1 || value > most) {
      errors.add(new FieldError(Location.QUERY, name, "Input should be between 1 and " + most));
      return byDefault;
    }
    return (int) value;
  }

  private static String lastQueryValue(String query, String name) {
    String value = null;
    for (String pair : (query == null ? "" : query).split("&")) {
      String[] sides = pair.split("=", 2);
      if (decode(sides[0]).equals(name)) {
        value = sides.length == 1 ? "" : decode(sides[1]);
      }
    }
    return value;
  }

  private static String decode(String text) {
    try {
      return URLDecoder.decode(text, StandardCharsets.UTF_8);
    } catch (IllegalArgumentException error) {
      return text; // a lone percent sign stands for itself
    }
  }

  private static boolean isDigits(String text) {
    return !text.isEmpty()
        && text.length() <= MOST_DIGITS
        && text.chars().allMatch(c -> c >= '0' && c <= '9');
  }
}
