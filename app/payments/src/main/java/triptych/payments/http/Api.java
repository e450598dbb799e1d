package triptych.payments.http;

import io.javalin.Javalin;
import io.javalin.compression.CompressionStrategy;
import io.javalin.config.JavalinConfig;
import io.javalin.http.Context;
import io.javalin.http.HandlerType;
import io.javalin.http.HttpResponseException;
import io.javalin.http.HttpStatus;
import io.javalin.http.MethodNotAllowedResponse;
import io.javalin.json.JsonMapper;
import io.javalin.router.Endpoint;
import io.javalin.router.EndpointNotFound;
import io.javalin.router.JavalinDefaultRoutingApi;
import io.javalin.util.JavalinLogger;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.io.InputStream;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;
import org.eclipse.jetty.ee10.servlet.ServletContextRequest;
import org.slf4j.Logger;
import org.slf4j.event.Level;
import triptych.payments.telemetry.Logs;
import triptych.payments.telemetry.Metrics;

/**
 * What all endpoints have in common: request id, access log, metrics, body limit, and problem
 * details for whatever goes wrong.
 */
public final class Api {
  /** Largest body that is read. */
  public static final int MAX_BODY_BYTES = 64 * 1024;

  /** Media type of answers. */
  public static final String JSON = "application/json";

  /** What is read of a body that is too large, so that its sender gets to see the answer. */
  private static final int MAX_DRAINED_BYTES = 2 * 1024 * 1024;

  private static final Set<String> QUIET =
      Set.of("/health/live", "/health/ready", "/health/shop", "/metrics");

  private static final Logger ACCESS = Logs.logger("access");
  private static final Logger LOG = Logs.logger("errors");

  private final Metrics metrics;

  private Api(Metrics metrics) {
    this.metrics = metrics;
  }

  /**
   * Returns a server, not yet started.
   *
   * @param endpoints add their routes
   */
  public static Javalin create(
      String host, int port, Metrics metrics, List<Consumer<JavalinDefaultRoutingApi>> endpoints) {
    JavalinLogger.startupInfo = false;
    var api = new Api(metrics);
    return Javalin.create(
        config -> {
          JettyTuning.apply(config, host, port);
          api.configure(config);
          endpoints.forEach(endpoint -> endpoint.accept(config.routes));
        });
  }

  private void configure(JavalinConfig config) {
    config.startup.showJavalinBanner = false;
    config.startup.showOldJavalinVersionWarning = false;
    config.startup.startupWatcherEnabled = false;
    config.router.ignoreTrailingSlashes = false;
    config.http.defaultContentType = JSON;
    config.http.prefer405over404 = true;
    config.http.compressionStrategy = CompressionStrategy.NONE; // the gateway's business
    config.http.maxRequestSize = MAX_BODY_BYTES;
    config.jsonMapper(new JsonMapper() {}); // endpoints write their JSON themselves
    config.requestLogger.http(this::observe);
    config.routes.before(this::begin);
    config.routes.beforeMatched(Api::refuseHead);
    config.routes.exception(Problem.class, (problem, ctx) -> answer(problem, ctx));
    config.routes.exception(
        EndpointNotFound.class,
        (error, ctx) ->
            answer(
                Problem.of(ProblemType.NOT_FOUND, "No resource of the shop has this path."), ctx));
    config.routes.exception(
        MethodNotAllowedResponse.class, (error, ctx) -> answer(notAllowed(allowed(error)), ctx));
    config.routes.exception(HttpResponseException.class, Api::answerFramework);
    config.routes.exception(Exception.class, (error, ctx) -> answerDefect(error, ctx));
    config.router.javaLangErrorHandler(Api::answerError);
  }

  private void begin(Context ctx) throws IOException {
    String id = RequestIds.accept(ctx.header(RequestIds.HEADER));
    ctx.attribute(RequestIds.KEY, id);
    ctx.header(RequestIds.HEADER, id);
    ctx.header(InstanceId.HEADER, InstanceId.VALUE);
    RequestIds.set(id);
    readBody(ctx);
  }

  // Bodies are read before anything else is looked at: the limit is the contract's first check, and
  // a body left unread would cost the connection.
  private static void readBody(Context ctx) throws IOException {
    long declared = ctx.req().getContentLengthLong();
    boolean chunked = declared < 0 && ctx.header("Transfer-Encoding") != null;
    if (declared > MAX_BODY_BYTES) {
      drain(ctx.req().getInputStream());
      throw tooLarge();
    }
    if (declared > 0 || chunked) {
      try {
        ctx.bodyAsBytes();
      } catch (HttpResponseException error) {
        drain(ctx.req().getInputStream());
        throw tooLarge();
      }
    }
  }

  private static void drain(InputStream body) throws IOException {
    body.skip(MAX_DRAINED_BYTES);
  }

  private static Problem tooLarge() {
    return Problem.of(
        ProblemType.BODY_TOO_LARGE, "A body has to be at most " + MAX_BODY_BYTES + " bytes long.");
  }

  // Javalin would answer HEAD wherever there is a GET; the contract has no HEAD.
  private static void refuseHead(Context ctx) {
    if (ctx.method().equals(HandlerType.HEAD)) {
      throw notAllowed(HandlerType.GET.name());
    }
  }

  private static Problem notAllowed(String allowed) {
    return Problem.of(ProblemType.METHOD_NOT_ALLOWED, "This path takes " + allowed + ".")
        .header("Allow", allowed);
  }

  private static String allowed(MethodNotAllowedResponse error) {
    return String.join(", ", error.getDetails().values());
  }

  private static void answer(Problem problem, Context ctx) {
    String id = ctx.attribute(RequestIds.KEY);
    problem.headers().forEach(ctx::header);
    ctx.res().setContentType(null); // or the charset of the type before would be kept
    ctx.status(problem.type().status())
        .contentType(Problem.MEDIA_TYPE)
        .result(problem.body(instance(ctx), id));
  }

  /** Returns what customers call the path: the gateway asks for the shop's readiness by another. */
  private static String instance(Context ctx) {
    if (ctx.path().equals("/health/shop")) {
      return "/health/ready";
    }
    String path = LenientTargets.pathOf(ServletContextRequest.getServletContextRequest(ctx.req()));
    return path == null ? ctx.path() : path;
  }

  private static void answerFramework(HttpResponseException error, Context ctx) {
    if (error.getStatus() == HttpStatus.CONTENT_TOO_LARGE.getCode()) {
      answer(tooLarge(), ctx);
    } else {
      answerDefect(error, ctx);
    }
  }

  private static void answerDefect(Exception error, Context ctx) {
    String id = ctx.attribute(RequestIds.KEY);
    RequestIds.as(id, () -> LOG.error("unhandled exception", error));
    answer(Problem.of(ProblemType.INTERNAL, "The request could not be completed."), ctx);
  }

  // An Error gets past the exception handlers, and leaves no context to answer with.
  private static void answerError(HttpServletResponse response, Error error) {
    LOG.error("unhandled error", error);
    response.setContentType(Problem.MEDIA_TYPE);
    try {
      response
          .getOutputStream()
          .write(
              Problem.of(ProblemType.INTERNAL, "The request could not be completed.")
                  .body("/", response.getHeader(RequestIds.HEADER)));
    } catch (IOException lost) {
      LOG.debug("the client has gone", lost);
    }
  }

  private void observe(Context ctx, Float durationMs) {
    Endpoint matched = ctx.endpoints().lastHttpEndpoint();
    String route = matched == null ? "unmatched" : matched.path;
    int status = ctx.statusCode();
    metrics.answered(ctx.req().getMethod(), route, status, durationMs / 1000.0);
    Level level = QUIET.contains(route) && status < 500 ? Level.DEBUG : Level.INFO;
    if (ACCESS.isEnabledForLevel(level)) {
      String id = ctx.attribute(RequestIds.KEY);
      RequestIds.as(
          id,
          () ->
              ACCESS
                  .atLevel(level)
                  .addKeyValue("method", ctx.req().getMethod())
                  .addKeyValue("path", ctx.path())
                  .addKeyValue("route", route)
                  .addKeyValue("status", status)
                  .addKeyValue("duration_ms", Math.round(durationMs * 100) / 100.0)
                  .log("request"));
    }
    RequestIds.set(null);
  }
}
