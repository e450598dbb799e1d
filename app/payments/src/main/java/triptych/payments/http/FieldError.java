package triptych.payments.http;

/** One fault of a request: where it is, which field, and what is wrong with it. */
public record FieldError(Location location, String field, String message) {
  /** The part of a request. */
  public enum Location {
    BODY,
    PATH,
    QUERY,
    HEADER
  }
}
