package triptych.payments.telemetry;

import io.prometheus.metrics.config.EscapingScheme;
import io.prometheus.metrics.core.metrics.Counter;
import io.prometheus.metrics.core.metrics.CounterWithCallback;
import io.prometheus.metrics.core.metrics.GaugeWithCallback;
import io.prometheus.metrics.core.metrics.Histogram;
import io.prometheus.metrics.expositionformats.PrometheusTextFormatWriter;
import io.prometheus.metrics.model.registry.PrometheusRegistry;
import io.prometheus.metrics.model.snapshots.Unit;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Set;

/** What Prometheus can ask for, labelled by route template so that paths cannot multiply series. */
public final class Metrics {
  /** Media type of the text format. */
  public static final String CONTENT_TYPE = PrometheusTextFormatWriter.CONTENT_TYPE;

  private static final Set<String> METHODS =
      Set.of("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT");
  private static final long PAGE_BYTES = 4096;
  private static final double[] BUCKETS_S = {
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30
  };

  private final PrometheusRegistry registry = new PrometheusRegistry();
  private final PrometheusTextFormatWriter writer = PrometheusTextFormatWriter.create();
  private final Counter requests =
      Counter.builder()
          .name("http_requests_total")
          .help("Requests answered.")
          .labelNames("method", "route", "status")
          .withoutExemplars()
          .register(registry);
  private final Histogram durations =
      Histogram.builder()
          .name("http_request_duration_seconds")
          .help("Time from the request's first byte to the response's last.")
          .labelNames("method", "route")
          .classicOnly()
          .classicUpperBounds(BUCKETS_S)
          .withoutExemplars()
          .register(registry);
  private final Counter payments =
      Counter.builder()
          .name("shop_payments_total")
          .help("Answers of the payment gateway, by outcome.")
          .labelNames("outcome")
          .withoutExemplars()
          .register(registry);
  private final Counter orders =
      Counter.builder()
          .name("shop_orders_total")
          .help("Orders that reached a final state.")
          .labelNames("status")
          .withoutExemplars()
          .register(registry);

  /** Adds the process's own figures, which need no management beans. */
  public Metrics() {
    GaugeWithCallback.builder()
        .name("process_resident_memory_bytes")
        .help("Resident memory size in bytes.")
        .unit(Unit.BYTES)
        .callback(callback -> callback.call(residentBytes()))
        .register(registry);
    CounterWithCallback.builder()
        .name("process_cpu_seconds_total")
        .help("Total user and system CPU time spent in seconds.")
        .unit(Unit.SECONDS)
        .callback(callback -> callback.call(cpuSeconds()))
        .register(registry);
  }

  /** Counts an answered request. */
  public void answered(String method, String route, int status, double durationS) {
    String known = METHODS.contains(method) ? method : "other";
    requests.labelValues(known, route, Integer.toString(status)).inc();
    durations.labelValues(known, route).observe(durationS);
  }

  /** Counts an answer of the payment gateway. */
  public void paymentAnswered(String outcome) {
    payments.labelValues(outcome).inc();
  }

  /** Counts an order that became final. */
  public void orderFinal(String status) {
    orders.labelValues(status).inc();
  }

  /** Returns everything in the text format. */
  public byte[] text() {
    var bytes = new ByteArrayOutputStream();
    try {
      writer.write(bytes, registry.scrape(), EscapingScheme.UNDERSCORE_ESCAPING);
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
    return bytes.toByteArray();
  }

  private static double residentBytes() {
    try {
      String[] pages = Files.readString(Path.of("/proc/self/statm")).split(" ");
      return Long.parseLong(pages[1]) * (double) PAGE_BYTES;
    } catch (IOException error) {
      return Double.NaN;
    }
  }

  private static double cpuSeconds() {
    Duration used = ProcessHandle.current().info().totalCpuDuration().orElse(Duration.ZERO);
    return used.toMillis() / 1000.0;
  }
}
