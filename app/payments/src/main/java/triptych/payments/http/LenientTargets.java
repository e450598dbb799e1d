package triptych.payments.http;

import java.util.regex.Pattern;
import org.eclipse.jetty.http.HttpVersion;
import org.eclipse.jetty.io.Connection;
import org.eclipse.jetty.io.EndPoint;
import org.eclipse.jetty.server.Connector;
import org.eclipse.jetty.server.HttpConfiguration;
import org.eclipse.jetty.server.HttpConnectionFactory;
import org.eclipse.jetty.server.Request;
import org.eclipse.jetty.server.internal.HttpConnection;

/**
 * HTTP connections that take any request target. Jetty answers escapes which stand for nothing, and
 * {@code %00}, before any endpoint sees them, and no setting changes that; to the contract they are
 * paths like others, not found or not valid. Their percent sign is taken for itself.
 */
final class LenientTargets extends HttpConnectionFactory {
  private static final Pattern BAD_ESCAPE = Pattern.compile("%(?![0-9A-Fa-f]{2})|%(?=00)");

  LenientTargets(HttpConfiguration http) {
    super(http);
  }

  @Override
  public Connection newConnection(Connector connector, EndPoint endPoint) {
    return configure(
        new LenientConnection(getHttpConfiguration(), connector, endPoint), connector, endPoint);
  }

  /** Returns the path of a request as the client wrote it; null if it named a whole URL. */
  static String pathOf(Request request) {
    if (request.getConnectionMetaData().getConnection() instanceof LenientConnection connection
        && connection.target.startsWith("/")) {
      return connection.target.split("[?#]", 2)[0];
    }
    return null;
  }

  /** Returns the target with what is no escape escaped. */
  static String escaped(String target) {
    return target == null ? null : BAD_ESCAPE.matcher(target).replaceAll("%25");
  }

  private static final class LenientConnection extends HttpConnection {
    /** Of the request at hand: the next one is read when it has been answered. */
    private volatile String target = "";

    LenientConnection(HttpConfiguration http, Connector connector, EndPoint endPoint) {
      super(http, connector, endPoint);
    }

    @Override
    protected HttpStreamOverHTTP1 newHttpStream(String method, String uri, HttpVersion version) {
      target = uri == null ? "" : uri;
      return super.newHttpStream(method, escaped(uri), version);
    }
  }
}
