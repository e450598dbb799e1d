package triptych.payments.telemetry;

import com.fasterxml.jackson.core.JsonGenerator;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.time.Instant;
import java.util.List;
import java.util.Locale;
import org.slf4j.MDC;
import org.slf4j.Marker;
import org.slf4j.event.KeyValuePair;
import org.slf4j.event.Level;
import org.slf4j.event.LoggingEvent;
import org.slf4j.helpers.LegacyAbstractLogger;
import org.slf4j.helpers.MessageFormatter;
import org.slf4j.spi.LoggingEventAware;
import triptych.payments.http.Json;
import triptych.payments.http.RequestIds;
import triptych.payments.http.Times;

/** Writes each event with its key-value pairs as one line of JSON on standard output. */
final class JsonLogger extends LegacyAbstractLogger implements LoggingEventAware {
  private static final long serialVersionUID = 1L;

  // Unbuffered and one write for each line, so that lines stay whole and none is lost in a crash.
  private static final FileOutputStream OUT = new FileOutputStream(FileDescriptor.out);

  private static volatile Level serviceLevel = Level.INFO;
  private static volatile String release = "dev";

  private final boolean ours;

  JsonLogger(String name) {
    this.name = name;
    ours = name.startsWith(Logs.SERVICE + ".");
  }

  static void configure(Level level, String withRelease) {
    serviceLevel = level;
    release = withRelease;
  }

  @Override
  public void log(LoggingEvent event) {
    write(
        event.getLevel(),
        MessageFormatter.basicArrayFormat(event.getMessage(), event.getArgumentArray()),
        event.getKeyValuePairs(),
        event.getThrowable());
  }

  @Override
  protected void handleNormalizedLoggingCall(
      Level level, Marker marker, String message, Object[] arguments, Throwable throwable) {
    write(level, MessageFormatter.basicArrayFormat(message, arguments), null, throwable);
  }

  private void write(Level level, String message, List<KeyValuePair> pairs, Throwable throwable) {
    byte[] line =
        Json.writeLine(
            json -> {
              json.writeStartObject();
              json.writeStringField("time", Times.millis(Instant.now()));
              json.writeStringField("level", text(level));
              json.writeStringField("logger", name);
              json.writeStringField("message", message);
              json.writeStringField("release", release);
              String requestId = MDC.get(RequestIds.KEY);
              if (requestId != null) {
                json.writeStringField(RequestIds.KEY, requestId);
              }
              if (pairs != null) {
                for (KeyValuePair pair : pairs) {
                  json.writeFieldName(pair.key);
                  writeValue(json, pair.value);
                }
              }
              if (throwable != null) {
                json.writeStringField("exception", trace(throwable));
              }
              json.writeEndObject();
            });
    try {
      OUT.write(line);
    } catch (IOException error) {
      // nobody reads the log: that is no reason to fail
    }
  }

  private static String text(Level level) {
    return level == Level.WARN ? "warning" : level.name().toLowerCase(Locale.ROOT);
  }

  private static void writeValue(JsonGenerator json, Object value) throws IOException {
    if (value instanceof Integer || value instanceof Long) {
      json.writeNumber(((Number) value).longValue());
    } else if (value instanceof Number number) {
      json.writeNumber(number.doubleValue());
    } else if (value == null) {
      json.writeNull();
    } else {
      json.writeString(value.toString());
    }
  }

  private static String trace(Throwable throwable) {
    var text = new StringWriter();
    throwable.printStackTrace(new PrintWriter(text, true));
    return text.toString();
  }

  // Libraries would tell each request and statement a second time.
  private boolean isEnabled(Level level) {
    Level least = ours || serviceLevel == Level.ERROR ? serviceLevel : Level.WARN;
    return level.toInt() >= least.toInt();
  }

  @Override
  public boolean isTraceEnabled() {
    return false;
  }

  @Override
  public boolean isDebugEnabled() {
    return isEnabled(Level.DEBUG);
  }

  @Override
  public boolean isInfoEnabled() {
    return isEnabled(Level.INFO);
  }

  @Override
  public boolean isWarnEnabled() {
    return isEnabled(Level.WARN);
  }

  @Override
  public boolean isErrorEnabled() {
    return isEnabled(Level.ERROR);
  }

  @Override
  protected String getFullyQualifiedCallerName() {
    return null;
  }
}
