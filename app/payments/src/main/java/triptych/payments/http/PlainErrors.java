package triptych.payments.http;

import java.nio.ByteBuffer;
import org.eclipse.jetty.http.HttpHeader;
import org.eclipse.jetty.http.HttpStatus;
import org.eclipse.jetty.server.Request;
import org.eclipse.jetty.server.Response;
import org.eclipse.jetty.server.handler.ErrorHandler;
import org.eclipse.jetty.util.Callback;

/**
 * Errors that no endpoint gets to see: what is no HTTP is answered by its status alone, anything
 * else in the contract's form. Never a page, never a stack trace.
 */
final class PlainErrors extends ErrorHandler {
  @Override
  public boolean handle(Request request, Response response, Callback callback) {
    String id = RequestIds.fresh();
    response.getHeaders().put(RequestIds.HEADER, id);
    response.getHeaders().put(InstanceId.HEADER, InstanceId.VALUE);
    if (response.getStatus() < HttpStatus.INTERNAL_SERVER_ERROR_500) {
      response.write(true, null, callback);
      return true;
    }
    response.getHeaders().put(HttpHeader.CONTENT_TYPE, Problem.MEDIA_TYPE);
    byte[] body =
        Problem.of(ProblemType.INTERNAL, "The request could not be completed.")
            .body(request.getHttpURI().getPath(), id);
    response.write(true, ByteBuffer.wrap(body), callback);
    return true;
  }
}
