package triptych.payments.http;

import com.fasterxml.jackson.core.JsonGenerator;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * Problem details (RFC 9457): thrown anywhere, answered to the client. It carries no stack trace,
 * as it is an answer and no defect.
 */
public final class Problem extends RuntimeException {
  /** Media type of the answer. */
  public static final String MEDIA_TYPE = "application/problem+json";

  private static final long serialVersionUID = 1L;

  private final ProblemType type;
  private final transient List<FieldError> errors;
  private final transient Map<String, String> headers = new LinkedHashMap<>();
  private final transient Map<String, Json.Value> members = new LinkedHashMap<>();

  private Problem(ProblemType type, String detail, Throwable cause, List<FieldError> errors) {
    super(detail, cause, false, false);
    this.type = type;
    this.errors = List.copyOf(errors);
  }

  /** Returns a problem of a type, told in words. */
  public static Problem of(ProblemType type, String detail) {
    return new Problem(type, detail, null, List.of());
  }

  /** Returns a problem that another failure led to. */
  public static Problem of(ProblemType type, String detail, Throwable cause) {
    return new Problem(type, detail, cause, List.of());
  }

  /** Returns the 422 with the faults that were found. */
  public static Problem invalid(List<FieldError> errors) {
    return new Problem(
        ProblemType.VALIDATION, "One or more values do not fit the contract.", null, errors);
  }

  /** Returns the 503 for a part that does not answer; the client may try again in a second. */
  public static Problem unavailable(String dependency, Throwable cause) {
    return of(
            ProblemType.DEPENDENCY_UNAVAILABLE,
            "The " + dependency + " does not answer at present; try again shortly.",
            cause)
        .header("Retry-After", "1")
        .member("dependency", dependency);
  }

  /** Adds a header to the answer. */
  public Problem header(String name, String value) {
    headers.put(name, value);
    return this;
  }

  /** Adds a member of text to the answer. */
  public Problem member(String name, String value) {
    return member(name, json -> json.writeString(value));
  }

  /** Adds a member to the answer. */
  public Problem member(String name, Json.Value value) {
    members.put(name, value);
    return this;
  }

  /** Returns the type. */
  public ProblemType type() {
    return type;
  }

  /** Returns the headers that the answer has. */
  public Map<String, String> headers() {
    return headers;
  }

  /** Returns the answer's body, for a problem that was met at the path {@code instance}. */
  public byte[] body(String instance, String requestId) {
    return Json.write(
        json -> {
          json.writeStartObject();
          json.writeStringField("type", type.uri());
          json.writeStringField("title", type.title());
          json.writeNumberField("status", type.status());
          json.writeStringField("detail", getMessage());
          json.writeStringField("instance", instance);
          json.writeStringField("request_id", requestId);
          writeErrors(json);
          for (var member : members.entrySet()) {
            json.writeFieldName(member.getKey());
            member.getValue().writeTo(json);
          }
          json.writeEndObject();
        });
  }

  private void writeErrors(JsonGenerator json) throws IOException {
    if (errors.isEmpty()) {
      return;
    }
    json.writeArrayFieldStart("errors");
    for (FieldError error : errors) {
      json.writeStartObject();
      json.writeStringField("in", error.location().name().toLowerCase(Locale.ROOT));
      json.writeStringField("field", error.field());
      json.writeStringField("message", error.message());
      json.writeEndObject();
    }
    json.writeEndArray();
  }
}
