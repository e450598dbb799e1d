package triptych.payments.orders;

import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.Duration;
import java.time.Instant;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import triptych.payments.database.Database;

/**
 * Orders in PostgreSQL. Each method is one statement and thereby one transaction; each change of
 * state is a compare-and-set on the state before, so that all of them can be repeated.
 *
 * <p>An order is worked on under a lease, which runs out by itself: neither a row lock nor a
 * connection is held while another service or the gateway thinks.
 */
public final class OrderRepository {
  /**
   * How old an order may be to be paid. The gateway remembers idempotency keys for 24 h; after that
   * a repetition could charge again, so older orders stay pending for a human to look at.
   */
  private static final String PAYABLE = "created_at > now() - interval '23 hours'";

  private static final String OPEN =
      "(status = 'reserving' OR (status = 'pending' AND " + PAYABLE + "))";

  private static final String COLUMNS =
      "o.id, o.user_id, o.status, o.total_minor, o.currency, o.payment_method,"
          + " o.payment_reference, o.failure_code, o.created_at, o.paid_at, o.lease_until > now(),"
          + " i.product_id, i.name, i.unit_price_minor, i.quantity";

  /**
   * A page and the number of all orders in one round trip. With nothing on the page there is one
   * row, which has the number alone.
   */
  public static final String HISTORY =
      "SELECT "
          + COLUMNS
          + ", mine.total"
          + " FROM (SELECT count(*) AS total FROM orders"
          + "   WHERE user_id = ? AND status <> 'reserving') mine"
          + " LEFT JOIN (SELECT * FROM orders WHERE user_id = ? AND status <> 'reserving'"
          + "   ORDER BY created_at DESC, id LIMIT ? OFFSET ?) o ON true"
          + " LEFT JOIN order_items i ON i.order_id = o.id"
          + " ORDER BY o.created_at DESC, o.id, i.product_id";

  private static final String SELECT =
      "SELECT " + COLUMNS + " FROM orders o LEFT JOIN order_items i ON i.order_id = o.id WHERE ";

  private static final String INSERT =
      "WITH claimed AS ("
          + "  INSERT INTO orders (id, user_id, idempotency_key, payment_method, status,"
          + "    total_minor, currency, lease_until)"
          + "  VALUES (?, ?, ?, ?, 'reserving', 0, ?, now() + ? * interval '1 ms')"
          + "  ON CONFLICT (user_id, idempotency_key) DO NOTHING RETURNING id, created_at),"
          + " items AS ("
          + "  INSERT INTO order_items (order_id, product_id, quantity)"
          + "  SELECT claimed.id, asked.product_id, asked.quantity"
          + "  FROM claimed, unnest(?::int[], ?::int[]) AS asked(product_id, quantity))"
          + " SELECT created_at FROM claimed";

  private static final String FILL =
      "WITH reserved AS ("
          + "  UPDATE orders SET status = 'pending', total_minor = ?,"
          + "    lease_until = now() + ? * interval '1 ms'"
          + "  WHERE id = ? AND status = 'reserving' AND NOT release_owed RETURNING id)"
          + " UPDATE order_items i SET name = priced.name,"
          + "   unit_price_minor = priced.unit_price_minor"
          + " FROM reserved, unnest(?::int[], ?::text[], ?::bigint[])"
          + "   AS priced(product_id, name, unit_price_minor)"
          + " WHERE i.order_id = reserved.id AND i.product_id = priced.product_id";

  private static final String LEASE_ABANDONED =
      "WITH leased AS ("
          + "  UPDATE orders SET lease_until = now() + ? * interval '1 ms' WHERE id IN ("
          + "    SELECT id FROM orders"
          + "    WHERE lease_until <= now() AND ("
          + OPEN
          + " OR release_owed OR purchase_owed)"
          + "    ORDER BY lease_until LIMIT ? FOR UPDATE SKIP LOCKED)"
          + "  RETURNING *)"
          + " SELECT "
          + COLUMNS
          + " FROM leased o LEFT JOIN order_items i ON i.order_id = o.id"
          + " ORDER BY o.created_at, o.id, i.product_id";

  private final Database database;

  /** Keeps orders in a database. */
  public OrderRepository(Database database) {
    this.database = database;
  }

  /**
   * Inserts the order of an idempotency key, held for {@code lease}, unless the key has one
   * already; returns when it was made.
   */
  public Optional<Instant> insert(
      UUID id,
      UUID userId,
      String key,
      String paymentMethod,
      String currency,
      List<OrderLine> asked,
      Duration lease) {
    return query(
        INSERT,
        statement -> {
          statement.setObject(1, id);
          statement.setObject(2, userId);
          statement.setString(3, key);
          statement.setString(4, paymentMethod);
          statement.setString(5, currency);
          statement.setLong(6, lease.toMillis());
          statement.setObject(7, asked.stream().mapToInt(OrderLine::productId).toArray());
          statement.setObject(8, asked.stream().mapToInt(OrderLine::quantity).toArray());
        },
        rows -> rows.next() ? Optional.of(time(rows, 1)) : Optional.empty());
  }

  /**
   * Makes a reserving order pending, with the prices of its reservation and a new lease; false if
   * it is not reserving any more, or given up.
   */
  public boolean fill(UUID id, List<OrderLine> priced, Duration lease) {
    return update(
            FILL,
            statement -> {
              statement.setLong(1, priced.stream().mapToLong(OrderLine::totalMinor).sum());
              statement.setLong(2, lease.toMillis());
              statement.setObject(3, id);
              statement.setObject(4, priced.stream().mapToInt(OrderLine::productId).toArray());
              statement.setObject(5, priced.stream().map(OrderLine::name).toArray(String[]::new));
              statement.setObject(
                  6, priced.stream().mapToLong(OrderLine::unitPriceMinor).toArray());
            })
        > 0;
  }

  /**
   * Bars a reserving order from ever getting pending, so that its stock can be given back; false if
   * it is not reserving any more.
   */
  public boolean giveUp(UUID id) {
    return update(
            "UPDATE orders SET release_owed = true WHERE id = ? AND status = 'reserving'",
            statement -> statement.setObject(1, id))
        == 1;
  }

  /** Removes a reserving order, as if its key had never been used. */
  public void discard(UUID id) {
    update(
        "DELETE FROM orders WHERE id = ? AND status = 'reserving'",
        statement -> statement.setObject(1, id));
  }

  /** Returns the user's order; nothing also if it is someone else's. */
  public Optional<Order> find(UUID userId, UUID id) {
    return one(
        "o.id = ? AND o.user_id = ? AND o.status <> 'reserving'",
        statement -> {
          statement.setObject(1, id);
          statement.setObject(2, userId);
        });
  }

  /** Returns the user's order of an idempotency key, visible or not. */
  public Optional<Order> findByKey(UUID userId, String key) {
    return one(
        "o.user_id = ? AND o.idempotency_key = ?",
        statement -> {
          statement.setObject(1, userId);
          statement.setString(2, key);
        });
  }

  /** Returns an order, whoever owns it. */
  public Optional<Order> get(UUID id) {
    return one("o.id = ?", statement -> statement.setObject(1, id));
  }

  /** Returns a page, counted from 1, of what the user sees. */
  public OrderPage history(UUID userId, int page, int pageSize) {
    return query(
        HISTORY,
        statement -> {
          statement.setObject(1, userId);
          statement.setObject(2, userId);
          statement.setInt(3, pageSize);
          statement.setLong(4, (page - 1L) * pageSize);
        },
        rows -> {
          List<Order> orders = new ArrayList<>();
          long total = 0;
          boolean more = rows.next();
          while (more) {
            total = rows.getLong("total");
            more = rows.getObject(1) == null ? rows.next() : readOrder(rows, orders);
          }
          return new OrderPage(orders, total);
        });
  }

  /** Becomes the one who works on an open order; false while another does, or if it is final. */
  public boolean takeLease(UUID id, Duration lease) {
    return update(
            "UPDATE orders SET lease_until = now() + ? * interval '1 ms'"
                + " WHERE id = ? AND lease_until <= now() AND "
                + OPEN,
            statement -> {
              statement.setLong(1, lease.toMillis());
              statement.setObject(2, id);
            })
        == 1;
  }

  /** Lets others work on an order. */
  public void dropLease(UUID id) {
    update(
        "UPDATE orders SET lease_until = now() WHERE id = ?",
        statement -> statement.setObject(1, id));
  }

  /**
   * Takes over orders that nobody works on and that are not done with: open ones, and final ones of
   * which another service is still to be told. The longest untried come first.
   */
  public List<Order> leaseAbandoned(int limit, Duration lease) {
    return query(
        LEASE_ABANDONED,
        statement -> {
          statement.setLong(1, lease.toMillis());
          statement.setInt(2, limit);
        },
        rows -> {
          List<Order> orders = new ArrayList<>();
          boolean more = rows.next();
          while (more) {
            more = readOrder(rows, orders);
          }
          return orders;
        });
  }

  /** Makes a pending order paid and owes the cart its purchase; nothing if it was final already. */
  public Optional<Instant> markPaid(UUID id, String reference) {
    return query(
        "UPDATE orders SET status = 'paid', payment_reference = ?, paid_at = now(),"
            + " purchase_owed = true WHERE id = ? AND status = 'pending' RETURNING paid_at",
        statement -> {
          statement.setString(1, reference);
          statement.setObject(2, id);
        },
        rows -> rows.next() ? Optional.of(time(rows, 1)) : Optional.empty());
  }

  /** Makes a pending order failed and owes its stock back; false if it was final already. */
  public boolean markFailed(UUID id, String code) {
    return update(
            "UPDATE orders SET status = 'payment_failed', failure_code = ?, release_owed = true"
                + " WHERE id = ? AND status = 'pending'",
            statement -> {
              statement.setString(1, code);
              statement.setObject(2, id);
            })
        == 1;
  }

  /** Notes that the other services know of a final order. */
  public void clearDebts(UUID id) {
    update(
        "UPDATE orders SET release_owed = false, purchase_owed = false WHERE id = ?",
        statement -> statement.setObject(1, id));
  }

  private Optional<Order> one(String condition, Binding binding) {
    return query(
        SELECT + condition + " ORDER BY i.product_id",
        binding,
        rows -> {
          List<Order> orders = new ArrayList<>(1);
          if (rows.next()) {
            readOrder(rows, orders);
          }
          return orders.stream().findFirst();
        });
  }

  /** Reads the rows of one order, from the current one on; says whether another order follows. */
  public static boolean readOrder(ResultSet rows, List<Order> orders) throws SQLException {
    UUID id = rows.getObject(1, UUID.class);
    List<OrderLine> lines = new ArrayList<>();
    var order =
        new Order(
            id,
            rows.getObject(2, UUID.class),
            OrderStatus.of(rows.getString(3)),
            rows.getLong(4),
            rows.getString(5),
            rows.getString(6),
            rows.getString(7),
            rows.getString(8),
            time(rows, 9),
            time(rows, 10),
            rows.getBoolean(11),
            lines);
    orders.add(order);
    boolean more;
    do {
      lines.add(
          new OrderLine(rows.getInt(12), rows.getString(13), rows.getLong(14), rows.getInt(15)));
      more = rows.next();
    } while (more && id.equals(rows.getObject(1, UUID.class)));
    return more;
  }

  private static Instant time(ResultSet rows, int column) throws SQLException {
    OffsetDateTime time = rows.getObject(column, OffsetDateTime.class);
    return time == null ? null : time.toInstant();
  }

  @FunctionalInterface
  private interface Binding {
    void to(PreparedStatement statement) throws SQLException;
  }

  @FunctionalInterface
  private interface Reading<T> {
    T from(ResultSet rows) throws SQLException;
  }

  private <T> T query(String sql, Binding binding, Reading<T> reading) {
    return database.run(
        connection -> {
          try (PreparedStatement statement = prepared(connection, sql, binding);
              ResultSet rows = statement.executeQuery()) {
            return reading.from(rows);
          }
        });
  }

  private int update(String sql, Binding binding) {
    return database.run(
        connection -> {
          try (PreparedStatement statement = prepared(connection, sql, binding)) {
            return statement.executeUpdate();
          }
        });
  }

  private static PreparedStatement prepared(Connection connection, String sql, Binding binding)
      throws SQLException {
    PreparedStatement statement = connection.prepareStatement(sql);
    try {
      binding.to(statement);
    } catch (SQLException | RuntimeException error) {
      statement.close();
      throw error;
    }
    return statement;
  }
}
