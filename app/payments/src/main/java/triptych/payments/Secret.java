package triptych.payments;

/** Text that must not end up in a log by accident. */
public record Secret(String value) {
  @Override
  public String toString() {
    return "***";
  }
}
