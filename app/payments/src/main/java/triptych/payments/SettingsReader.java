package triptych.payments;

import java.io.IOException;
import java.math.BigDecimal;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Reads typed values from the environment and collects what is wrong. A variable that is set to
 * nothing counts as not set.
 */
final class SettingsReader {
  private static final int LONGEST_S = 86_400;

  private final Map<String, String> environment;
  private final List<String> faults = new ArrayList<>();

  SettingsReader(Map<String, String> environment) {
    this.environment = environment;
  }

  /** Throws if anything that was read so far was wrong. */
  void complain() throws SettingsException {
    if (!faults.isEmpty()) {
      throw new SettingsException(faults);
    }
  }

  /** Returns a text; without a default the variable is required. */
  String text(String name, String byDefault) {
    String raw = raw(name);
    if (raw == null && byDefault == null) {
      return fault(name, "field required");
    }
    return raw == null ? byDefault : raw;
  }

  String oneOf(String name, List<String> allowed, String byDefault) {
    String text = text(name, byDefault);
    if (allowed.contains(text)) {
      return text;
    }
    int last = allowed.size() - 1;
    return fault(
        name,
        "input should be '%s' or '%s'"
            .formatted(String.join("', '", allowed.subList(0, last)), allowed.get(last)));
  }

  int integer(String name, int least, int most, int byDefault) {
    String raw = raw(name);
    if (raw == null) {
      return byDefault;
    }
    try {
      int value = Integer.parseInt(raw);
      if (value >= least && value <= most) {
        return value;
      }
      fault(name, "input should be between %d and %d".formatted(least, most));
    } catch (NumberFormatException error) {
      fault(name, "input should be a valid integer");
    }
    return byDefault;
  }

  Duration seconds(String name, int byDefault) {
    String raw = raw(name);
    if (raw == null) {
      return Duration.ofSeconds(byDefault);
    }
    try {
      var value = new BigDecimal(raw);
      if (value.signum() > 0 && value.compareTo(BigDecimal.valueOf(LONGEST_S)) <= 0) {
        return Duration.ofMillis(Math.max(1, value.movePointRight(3).longValue()));
      }
      fault(name, "input should be greater than 0 and at most " + LONGEST_S);
    } catch (NumberFormatException error) {
      fault(name, "input should be a valid number");
    }
    return Duration.ofSeconds(byDefault);
  }

  URI url(String name) {
    String text = text(name, null);
    return text == null ? null : parseUrl(name, text);
  }

  /** Returns {@code name=url,name=url} in its order; nothing if the variable is not set. */
  Map<String, URI> urlsByName(String name) {
    var urls = new LinkedHashMap<String, URI>();
    String raw = raw(name);
    if (raw == null) {
      return urls;
    }
    for (String entry : raw.split(",", -1)) {
      String[] sides = entry.strip().split("=", 2);
      if (sides.length != 2 || sides[0].isBlank()) {
        fault(name, "input should be name=url,name=url");
        return urls;
      }
      urls.put(sides[0].strip(), parseUrl(name, sides[1].strip()));
    }
    return urls;
  }

  Secret secret(String name) {
    String file = raw(name);
    if (file == null) {
      return fault(name, "not set; it names the file that holds the secret");
    }
    try {
      String text = Files.readString(Path.of(file)).strip();
      return text.isEmpty() ? fault(name, file + " is empty") : new Secret(text);
    } catch (NoSuchFileException error) {
      return fault(name, "cannot read " + file + ": No such file or directory");
    } catch (CharacterCodingException error) {
      return fault(name, "cannot read " + file + ": not UTF-8 text");
    } catch (IOException | InvalidPathException error) {
      return fault(name, "cannot read " + file + ": " + error.getMessage());
    }
  }

  private URI parseUrl(String name, String text) {
    try {
      var url = new URI(text);
      boolean web = "http".equals(url.getScheme()) || "https".equals(url.getScheme());
      if (web && url.getHost() != null) {
        return url;
      }
    } catch (URISyntaxException error) {
      // said below
    }
    return fault(name, "input should be an http or https URL");
  }

  private String raw(String name) {
    String raw = environment.get(name);
    return raw == null || raw.isEmpty() ? null : raw;
  }

  private <T> T fault(String name, String what) {
    faults.add(name + ": " + what);
    return null;
  }
}
