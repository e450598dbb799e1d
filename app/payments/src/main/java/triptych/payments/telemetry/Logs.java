package triptych.payments.telemetry;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.slf4j.event.Level;

/** The service's loggers. */
public final class Logs {
  /** Name that all of them begin with. */
  public static final String SERVICE = "payments";

  private Logs() {}

  /**
   * Sets level and release.
   *
   * @param level DEBUG, INFO, WARNING or ERROR
   */
  public static void configure(String level, String release) {
    JsonLogger.configure(Level.valueOf(level.equals("WARNING") ? "WARN" : level), release);
    System.setProperty("java.util.logging.config.class", NoLogging.class.getName());
  }

  /**
   * Configures java.util.logging, when it is first used, to say nothing: the database driver tells
   * it what its exceptions say as well.
   */
  public static final class NoLogging {
    /** Called by the platform. */
    public NoLogging() {
      // no handlers
    }
  }

  /** Returns the logger of a part of the service. */
  public static Logger logger(String part) {
    return LoggerFactory.getLogger(SERVICE + "." + part);
  }
}
