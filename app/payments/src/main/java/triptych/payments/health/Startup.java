package triptych.payments.health;

import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorCompletionService;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.function.Supplier;
import org.slf4j.Logger;
import triptych.payments.http.Problem;
import triptych.payments.telemetry.Logs;

/**
 * Start-up in the background: the service is live at once, and ready when what it needs has been
 * there. Polling is every 50 ms, so that readiness says when that was, not when we looked.
 */
public final class Startup {
  private static final Duration POLL = Duration.ofMillis(50);

  private static final Logger LOG = Logs.logger("startup");

  /** Something the service needs. */
  private record Need(Runnable attempt, Supplier<String> reason) {}

  private final Duration timeout;
  private final Map<String, Need> needs = new LinkedHashMap<>();
  private volatile boolean done;
  private volatile String missing;

  /** Gives up after {@code timeout}. */
  public Startup(Duration timeout) {
    this.timeout = timeout;
  }

  /**
   * Adds something that the service needs.
   *
   * @param name what it is called in answers
   * @param attempt throws a problem while it is not there
   * @param reason says why it is not, for the operator; may return null
   */
  public void needs(String name, Runnable attempt, Supplier<String> reason) {
    needs.put(name, new Need(attempt, reason));
    missing = name;
  }

  /** Waits for everything; false, and one line in the log, if something was not there in time. */
  public boolean run() {
    long started = System.nanoTime();
    ExecutorService threads = Executors.newFixedThreadPool(needs.size(), this::thread);
    var waiting = new ExecutorCompletionService<Void>(threads);
    needs.forEach((name, need) -> waiting.submit(() -> await(name, need), null));
    try {
      for (int left = needs.size(); left > 0; left--) {
        waiting.take().get();
      }
      done = true;
      LOG.atInfo().addKeyValue("startup_s", seconds(started)).log("ready");
      return true;
    } catch (ExecutionException error) {
      if (error.getCause() instanceof NotThereException absent) {
        LOG.error("start-up failed: {}", absent.getMessage());
      } else {
        LOG.error("start-up failed", error.getCause());
      }
      return false;
    } catch (InterruptedException stopping) {
      Thread.currentThread().interrupt();
      return false;
    } finally {
      threads.shutdownNow();
    }
  }

  /** Says whether start-up is done. */
  public boolean isDone() {
    return done;
  }

  /** Throws the 503 problem until start-up is done. */
  public void require() {
    if (!done) {
      throw Problem.unavailable(missing, null);
    }
  }

  private Thread thread(Runnable task) {
    var thread = new Thread(task, "startup");
    thread.setDaemon(true);
    return thread;
  }

  private void await(String name, Need need) {
    long deadline = System.nanoTime() + timeout.toNanos();
    boolean waiting = false;
    while (true) {
      try {
        need.attempt.run();
        if (waiting) {
          LOG.info("the {} is up", name);
        }
        return;
      } catch (Problem problem) {
        missing = name;
        if (System.nanoTime() >= deadline) {
          throw new NotThereException(
              "the %s not up after %s s: %s"
                  .formatted(name, plain(timeout), reason(need, problem)));
        }
        if (!waiting) {
          waiting = true;
          LOG.atInfo().addKeyValue("reason", reason(need, problem)).log("waiting for the {}", name);
        }
      }
      try {
        Thread.sleep(POLL.toMillis());
      } catch (InterruptedException stopping) {
        Thread.currentThread().interrupt();
        throw new NotThereException("interrupted");
      }
    }
  }

  private static String reason(Need need, Problem problem) {
    String reason = need.reason.get();
    if (reason == null && problem.getCause() != null) {
      reason = problem.getCause().toString();
    }
    return reason == null ? problem.getMessage() : reason;
  }

  private static String plain(Duration duration) {
    double seconds = duration.toMillis() / 1000.0;
    return seconds == Math.rint(seconds) ? Long.toString((long) seconds) : Double.toString(seconds);
  }

  private static double seconds(long started) {
    return Math.round((System.nanoTime() - started) / 1e6) / 1000.0;
  }

  private static final class NotThereException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    NotThereException(String message) {
      super(message);
    }
  }
}
