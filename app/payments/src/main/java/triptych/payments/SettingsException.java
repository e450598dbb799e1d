package triptych.payments;

import java.util.List;

/** The environment is incomplete or wrong; each line names one variable and what is wrong. */
public final class SettingsException extends Exception {
  private static final long serialVersionUID = 1L;

  private final transient List<String> lines;

  SettingsException(List<String> lines) {
    super(String.join("; ", lines));
    this.lines = List.copyOf(lines);
  }

  /** Returns one sentence for each fault. */
  public List<String> lines() {
    return lines;
  }
}
