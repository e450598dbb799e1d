package triptych.payments.tokens;

import io.javalin.http.Context;
import io.javalin.http.Handler;
import java.util.UUID;
import triptych.payments.health.Startup;

/** Endpoints for customers: there once start-up is done, and for who has a good token. */
public final class Secured {
  /** An endpoint that knows who is calling. */
  @FunctionalInterface
  public interface UserHandler {
    /** Answers the user's request. */
    void handle(Context ctx, UUID userId) throws Exception;
  }

  private final Startup startup;
  private final AccessTokens tokens;

  /** Checks tokens. */
  public Secured(Startup startup, AccessTokens tokens) {
    this.startup = startup;
    this.tokens = tokens;
  }

  /** Returns a handler that looks at the token before anything else of the request. */
  public Handler handler(UserHandler behind) {
    return ctx -> {
      startup.require();
      behind.handle(ctx, tokens.verify(ctx.header("Authorization")));
    };
  }
}
