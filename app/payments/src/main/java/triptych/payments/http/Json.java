package triptych.payments.http;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.json.JsonWriteFeature;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * JSON in and out with Jackson's streaming core. There are few documents here and all are small, so
 * that data binding would cost more at start-up than it saves.
 */
public final class Json {
  /** Writes one value. */
  @FunctionalInterface
  public interface Value {
    /** Writes the value at the generator's position. */
    void writeTo(JsonGenerator json) throws IOException;
  }

  // Everything beyond ASCII is escaped, so that a lone surrogate cannot break the encoding.
  private static final JsonFactory FACTORY =
      JsonFactory.builder().enable(JsonWriteFeature.ESCAPE_NON_ASCII).build();

  private static final int TYPICAL_BYTES = 1024;
  private static final String BYTE_ORDER_MARK = "\uFEFF";

  // Half of a surrogate pair is JSON, but in names Jackson takes it for a fault where it is
  // escaped.
  private static final Pattern SURROGATE_ESCAPE =
      Pattern.compile("((?<!\\\\)(?:\\\\\\\\)*)\\\\u([dD][89a-fA-F][0-9a-fA-F]{2})");

  private Json() {}

  /** Returns a value as UTF-8 text. */
  public static byte[] write(Value value) {
    return buffer(value).toByteArray();
  }

  /** Returns a value as UTF-8 text that ends in a line feed. */
  public static byte[] writeLine(Value value) {
    ByteArrayOutputStream line = buffer(value);
    line.write('\n');
    return line.toByteArray();
  }

  private static ByteArrayOutputStream buffer(Value value) {
    var bytes = new ByteArrayOutputStream(TYPICAL_BYTES);
    try (JsonGenerator json = FACTORY.createGenerator(bytes)) {
      value.writeTo(json);
    } catch (IOException error) {
      throw new UncheckedIOException(error); // the stream is in memory: a defect of ours
    }
    return bytes;
  }

  /**
   * Returns the one document that the text holds: a Map, List, String, Number, Boolean or null.
   * Strict: UTF-8 alone, with or without a byte order mark, no NaN, nothing after the document,
   * limits on nesting and on the length of numbers.
   *
   * @throws IOException if the text is anything else
   */
  public static Object parse(byte[] text) throws IOException {
    // Given bytes, Jackson would take UTF-16 and UTF-32 too.
    try (JsonParser json = FACTORY.createParser(decode(text))) {
      if (json.nextToken() == null) {
        throw new IOException("there is no document");
      }
      Object document = read(json);
      if (json.nextToken() != null) {
        throw new IOException("there is something after the document");
      }
      return document;
    }
  }

  private static String decode(byte[] text) throws IOException {
    String decoded = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(text)).toString();
    String unmarked = decoded.startsWith(BYTE_ORDER_MARK) ? decoded.substring(1) : decoded;
    return SURROGATE_ESCAPE.matcher(unmarked).replaceAll(Json::unescaped);
  }

  private static String unescaped(MatchResult escape) {
    char surrogate = (char) Integer.parseInt(escape.group(2), 16);
    return Matcher.quoteReplacement(escape.group(1) + surrogate);
  }

  private static Object read(JsonParser json) throws IOException {
    return switch (json.currentToken()) {
      case START_OBJECT -> readObject(json);
      case START_ARRAY -> readArray(json);
      case VALUE_STRING -> json.getText();
      case VALUE_NUMBER_INT, VALUE_NUMBER_FLOAT -> json.getNumberValue();
      case VALUE_TRUE -> Boolean.TRUE;
      case VALUE_FALSE -> Boolean.FALSE;
      case VALUE_NULL -> null;
      default -> throw new IOException("unexpected " + json.currentToken());
    };
  }

  private static Map<String, Object> readObject(JsonParser json) throws IOException {
    var members = new LinkedHashMap<String, Object>();
    while (json.nextToken() != JsonToken.END_OBJECT) {
      String name = json.currentName();
      json.nextToken();
      members.put(name, read(json));
    }
    return members;
  }

  private static List<Object> readArray(JsonParser json) throws IOException {
    var items = new ArrayList<Object>();
    while (json.nextToken() != JsonToken.END_ARRAY) {
      items.add(read(json));
    }
    return items;
  }
}
