package triptych.payments;

import io.javalin.util.JavalinBindException;
import java.util.concurrent.atomic.AtomicInteger;
import org.slf4j.Logger;
import triptych.payments.telemetry.Logs;

/** Serves until told to stop. */
public final class Main {
  private static final int FAILED = 1;
  private static final int BAD_SETTINGS = 2;

  private Main() {}

  /**
   * Exit codes: 0 after SIGTERM, 1 if the service could not get ready, 2 for settings that are
   * missing or wrong.
   */
  public static void main(String[] arguments) {
    Settings settings;
    try {
      settings = Settings.from(System.getenv());
    } catch (SettingsException error) {
      error.lines().forEach(line -> System.err.println(Logs.SERVICE + ": " + line));
      System.exit(BAD_SETTINGS);
      return;
    }
    Logs.configure(settings.logLevel(), settings.release());
    Logger log = Logs.logger("service");
    var service = new PaymentsService(settings);
    var exitCode = new AtomicInteger();
    Runnable stop =
        () -> {
          service.stop();
          // An orderly stop is no failure, though a signal began it: the JVM would exit with 143.
          Runtime.getRuntime().halt(exitCode.get());
        };
    Runtime.getRuntime().addShutdownHook(new Thread(stop, "stop"));
    Runnable fail =
        () -> {
          exitCode.set(FAILED);
          System.exit(FAILED);
        };
    try {
      service.start(fail);
    } catch (JavalinBindException error) {
      log.error(
          "cannot listen on {}:{}: {}",
          settings.listenHost(),
          settings.listenPort(),
          error.getMessage());
      fail.run();
    } catch (RuntimeException error) {
      log.error("cannot start", error);
      fail.run();
    }
  }
}
