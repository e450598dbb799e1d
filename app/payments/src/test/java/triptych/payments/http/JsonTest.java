package triptych.payments.http;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class JsonTest {
  @Test
  void aDocumentBecomesPlainObjects() throws IOException {
    Object parsed = parse(" {\"a\": [1, \"two\", true, null, {}], \"b\": 2.5} ");
    assertEquals(Map.of("a", Arrays.asList(1, "two", true, null, Map.of()), "b", 2.5), parsed);
  }

  @Test
  void theLastOfTwoMembersOfANameCounts() throws IOException {
    assertEquals(Map.of("a", 2), parse("{\"a\": 1, \"a\": 2}"));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        " ",
        "{",
        "{\"a\": 1,}",
        "{'a': 1}",
        "{} {}",
        "word",
        "NaN",
        "[Infinity]",
        "01",
        "1.",
        "\"\n\"",
        "\u0000",
        "// note\n1",
        "[1 2]"
      })
  void whatIsNoDocumentIsRefused(String text) {
    assertThrows(IOException.class, () -> parse(text));
  }

  @Test
  void whatIsTooLargeToReadIsRefused() {
    assertThrows(IOException.class, () -> parse("[".repeat(60_000)));
    assertThrows(IOException.class, () -> parse("[" + "9".repeat(60_000) + "]"));
  }

  @Test
  void halvesOfSurrogatePairsAreRead() throws IOException {
    assertEquals(
        Map.of("\ud800", "\udc00\ud800", "\ud83e\udd84", "\\ud800"),
        parse("{'\\ud800': '\\udC00\\uD800', '\\ud83e\\udd84': '\\\\ud800'}".replace('\'', '"')));
  }

  @Test
  void aByteOrderMarkIsPassedOver() throws IOException {
    assertEquals(List.of(), parse("\ufeff[]"));
  }

  @Test
  void otherEncodingsAreRefused() {
    for (Charset charset : List.of(StandardCharsets.UTF_16, StandardCharsets.UTF_16LE)) {
      assertThrows(IOException.class, () -> Json.parse("[1]".getBytes(charset)));
    }
  }

  @Test
  void bytesThatAreNoTextAreRefused() {
    byte[] latin1 = "\"ä\"".getBytes(StandardCharsets.ISO_8859_1);
    assertThrows(IOException.class, () -> Json.parse(latin1));
  }

  @Test
  void everythingBeyondAsciiIsEscaped() {
    byte[] text =
        Json.write(
            json -> {
              json.writeStartArray();
              json.writeString("Größe \ud800");
              json.writeEndArray();
            });
    assertEquals("[\"Gr\\u00F6\\u00DFe \\uD800\"]", new String(text, StandardCharsets.UTF_8));
  }

  @Test
  void aProblemHasItsMembers() throws IOException {
    Problem problem =
        Problem.invalid(List.of(new FieldError(FieldError.Location.QUERY, "page", "no")))
            .member("extra", "more");
    var document = (Map<?, ?>) Json.parse(problem.body("/here", "id-1"));
    assertEquals("urn:triptych:problem:validation", document.get("type"));
    assertEquals(422, document.get("status"));
    assertEquals("/here", document.get("instance"));
    assertEquals("id-1", document.get("request_id"));
    assertEquals(
        List.of(Map.of("in", "query", "field", "page", "message", "no")), document.get("errors"));
    assertEquals("more", document.get("extra"));
  }

  private static Object parse(String text) throws IOException {
    return Json.parse(text.getBytes(StandardCharsets.UTF_8));
  }
}
