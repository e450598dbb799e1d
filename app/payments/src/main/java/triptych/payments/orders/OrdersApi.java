package triptych.payments.orders;

import io.javalin.http.Context;
import io.javalin.router.JavalinDefaultRoutingApi;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.regex.Pattern;
import triptych.payments.http.FieldError;
import triptych.payments.http.FieldError.Location;
import triptych.payments.http.Json;
import triptych.payments.http.Problem;
import triptych.payments.http.ProblemType;
import triptych.payments.http.Requests;
import triptych.payments.tokens.Secured;

/** The caller's orders. */
public final class OrdersApi {
  /** Path of the list; an order's own is below it. */
  public static final String PATH = "/api/v1/orders";

  private static final Pattern ORDER_ID =
      Pattern.compile("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}");
  private static final int MAX_PAGE = 100_000;
  private static final int MAX_PAGE_SIZE = 100;
  private static final int USUAL_PAGE_SIZE = 20;

  private final OrderRepository orders;
  private final Secured secured;

  /** Shows what is in the repository to those it belongs to. */
  public OrdersApi(OrderRepository orders, Secured secured) {
    this.orders = orders;
    this.secured = secured;
  }

  /** Adds the routes. */
  public void addTo(JavalinDefaultRoutingApi routes) {
    routes.get(PATH, secured.handler(this::list));
    routes.get(PATH + "/{order_id}", secured.handler(this::get));
  }

  private void list(Context ctx, UUID userId) {
    List<FieldError> errors = new ArrayList<>();
    int page = Requests.queryInteger(ctx, "page", MAX_PAGE, 1, errors);
    int pageSize = Requests.queryInteger(ctx, "page_size", MAX_PAGE_SIZE, USUAL_PAGE_SIZE, errors);
    if (!errors.isEmpty()) {
      throw Problem.invalid(errors);
    }
    OrderPage found = orders.history(userId, page, pageSize);
    ctx.header("Cache-Control", "no-store");
    ctx.result(Json.write(json -> OrderJson.writePage(json, found, page, pageSize)));
  }

  private void get(Context ctx, UUID userId) {
    String id = ctx.pathParam("order_id");
    if (!ORDER_ID.matcher(id).matches()) {
      throw Problem.invalid(
          List.of(new FieldError(Location.PATH, "order_id", "Input should be a UUID")));
    }
    Order order =
        orders
            .find(userId, UUID.fromString(id))
            .orElseThrow(
                () -> Problem.of(ProblemType.ORDER_NOT_FOUND, "You have no order of this id."));
    ctx.header("Cache-Control", "no-store");
    ctx.result(Json.write(json -> OrderJson.write(json, order)));
  }
}
