import com.zaxxer.hikari.HikariDataSource;
import io.javalin.Javalin;
import io.javalin.http.Context;
import java.nio.charset.StandardCharsets;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.UUID;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import triptych.payments.Settings;
import triptych.payments.SettingsException;
import triptych.payments.database.Database;
import triptych.payments.http.JettyTuning;
import triptych.payments.http.Json;
import triptych.payments.orders.Order;
import triptych.payments.orders.OrderJson;
import triptych.payments.orders.OrderPage;
import triptych.payments.orders.OrderRepository;

/**
 * What the service is held against: GET /api/v1/orders and nothing else around it, the same query
 * by the same pool on a bare Javalin handler. The token is not checked, only read.
 */
public final class Bare {
  private static final Pattern SUBJECT = Pattern.compile("\"sub\" *: *\"([^\"]+)\"");
  private static final int PAGE_SIZE = 20;

  private Bare() {}

  /** Serves until it is killed. */
  public static void main(String[] arguments) throws SettingsException {
    Settings settings = Settings.from(System.getenv());
    HikariDataSource pool = Database.pool(Database.address(settings), settings);
    Javalin.create(
            config -> {
              JettyTuning.apply(config, settings.listenHost(), settings.listenPort());
              config.routes.get("/health/live", ctx -> ctx.result(""));
              config.routes.get("/health/ready", ctx -> ctx.result(""));
              config.routes.get("/api/v1/orders", ctx -> history(ctx, pool));
            })
        .start();
  }

  private static void history(Context ctx, HikariDataSource pool) throws SQLException {
    String claims = ctx.header("Authorization").split("\\.")[1];
    Matcher subject =
        SUBJECT.matcher(new String(Base64.getUrlDecoder().decode(claims), StandardCharsets.UTF_8));
    subject.find();
    UUID userId = UUID.fromString(subject.group(1));
    List<Order> orders = new ArrayList<>();
    long total = 0;
    try (var connection = pool.getConnection();
        PreparedStatement statement = connection.prepareStatement(OrderRepository.HISTORY)) {
      statement.setObject(1, userId);
      statement.setObject(2, userId);
      statement.setInt(3, PAGE_SIZE);
      statement.setLong(4, 0);
      try (ResultSet rows = statement.executeQuery()) {
        boolean more = rows.next();
        while (more) {
          total = rows.getLong("total");
          more = rows.getObject(1) == null ? rows.next() : OrderRepository.readOrder(rows, orders);
        }
      }
    }
    var page = new OrderPage(orders, total);
    ctx.contentType("application/json")
        .result(Json.write(json -> OrderJson.writePage(json, page, 1, PAGE_SIZE)));
  }
}
