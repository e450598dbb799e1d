package triptych.payments.http;

import io.javalin.config.JavalinConfig;
import org.eclipse.jetty.http.HttpFields;
import org.eclipse.jetty.http.UriCompliance;
import org.eclipse.jetty.server.HttpConfiguration;
import org.eclipse.jetty.server.LowResourceMonitor;
import org.eclipse.jetty.server.Request;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.eclipse.jetty.util.thread.QueuedThreadPool;

/** Jetty for a small share of one processor: few threads, nothing that wakes up for itself. */
public final class JettyTuning {
  private static final int MAX_THREADS = 40;
  private static final int MIN_THREADS = 4;
  private static final int THREAD_IDLE_MS = 30_000;
  private static final int CONNECTION_IDLE_MS = 60_000;
  private static final int MAX_HEADER_BYTES = 32 * 1024; // as the gateway has it
  private static final String METHOD_OVERRIDE = "X-HTTP-Method-Override";

  private JettyTuning() {}

  /** Makes the server listen at an address. */
  public static void apply(JavalinConfig config, String host, int port) {
    var threads = new QueuedThreadPool(MAX_THREADS, MIN_THREADS, THREAD_IDLE_MS);
    threads.setName("http");
    config.jetty.threadPool = threads;
    config.jetty.modifyHttpConfiguration(
        http -> {
          // Endpoints judge what is in a path themselves and answer in the contract's form.
          http.setUriCompliance(UriCompliance.UNSAFE);
          http.setSendServerVersion(false);
          http.setRequestHeaderSize(MAX_HEADER_BYTES);
          http.addCustomizer(JettyTuning::withoutMethodOverride);
        });
    config.jetty.addConnector((server, http) -> connector(server, http, host, port));
    config.jetty.modifyServer(
        server -> {
          server.getBeans(LowResourceMonitor.class).forEach(server::removeBean);
          server.setErrorHandler(new PlainErrors());
        });
  }

  // Javalin would take the method from this header, where the contract knows the method alone.
  private static Request withoutMethodOverride(Request request, HttpFields.Mutable answer) {
    if (!request.getHeaders().contains(METHOD_OVERRIDE)) {
      return request;
    }
    HttpFields headers = HttpFields.build(request.getHeaders()).remove(METHOD_OVERRIDE);
    return new Request.Wrapper(request) {
      @Override
      public HttpFields getHeaders() {
        return headers;
      }
    };
  }

  private static ServerConnector connector(
      Server server, HttpConfiguration http, String host, int port) {
    var connector = new ServerConnector(server, 1, 1, new LenientTargets(http));
    connector.setHost(host);
    connector.setPort(port);
    connector.setIdleTimeout(CONNECTION_IDLE_MS);
    return connector;
  }
}
