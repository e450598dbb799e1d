package triptych.payments.database;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.Executor;
import org.slf4j.Logger;
import triptych.payments.telemetry.Logs;

/**
 * Brings the tables up to date: numbered SQL scripts, each run once, by one process at a time and
 * in one transaction.
 *
 * <p>Written here rather than taken from a library: PostgreSQL's transactional DDL and advisory
 * locks do the work, and on a third of a processor each class that is not loaded is an earlier
 * start.
 */
public final class Migrations {
  /** Scripts in their order; a script's number is its place, counted from 1. */
  private static final List<String> SCRIPTS = List.of("V1__first_shape.sql");

  private static final long LOCK_KEY = 0x7061_796d_656e_7473L; // "payments"
  private static final Duration LONGEST = Duration.ofMinutes(5);

  private static final Logger LOG = Logs.logger("migrations");

  private Migrations() {}

  /** Runs what is missing; if nothing is, that is all that two small queries say. */
  public static void run(Database database) {
    int version = database.run(Migrations::version);
    if (version < SCRIPTS.size()) {
      database.run(Migrations::migrate);
    }
  }

  private static int version(Connection connection) throws SQLException {
    try (var statement = connection.createStatement()) {
      return number(statement, "SELECT (to_regclass('payments.migrations') IS NOT NULL)::int") == 0
          ? 0
          : number(statement, "SELECT coalesce(max(version), 0) FROM payments.migrations");
    }
  }

  private static Void migrate(Connection connection) throws SQLException {
    Executor direct = Runnable::run;
    int usual = connection.getNetworkTimeout();
    connection.setNetworkTimeout(direct, (int) LONGEST.toMillis());
    connection.setAutoCommit(false);
    try (var statement = connection.createStatement()) {
      statement.execute("SET LOCAL statement_timeout = " + LONGEST.toMillis());
      statement.execute("SELECT pg_advisory_xact_lock(" + LOCK_KEY + ")");
      statement.execute("CREATE SCHEMA IF NOT EXISTS " + Database.SCHEMA);
      int from = version(connection); // another process may have been first
      if (from == 0) {
        statement.execute(
            "CREATE TABLE IF NOT EXISTS payments.migrations (version integer PRIMARY KEY,"
                + " script text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())");
      }
      for (int version = from + 1; version <= SCRIPTS.size(); version++) {
        apply(statement, version);
      }
      connection.commit();
    } catch (SQLException error) {
      connection.rollback();
      throw error;
    } finally {
      connection.setAutoCommit(true);
      connection.setNetworkTimeout(direct, usual);
    }
    return null;
  }

  private static void apply(Statement statement, int version) throws SQLException {
    String name = SCRIPTS.get(version - 1);
    statement.execute(script(name));
    statement.execute(
        "INSERT INTO payments.migrations (version, script) VALUES (%d, '%s')"
            .formatted(version, name));
    LOG.atInfo().addKeyValue("script", name).log("migrated");
  }

  private static String script(String name) {
    try (InputStream file = Migrations.class.getResourceAsStream("/migrations/" + name)) {
      return new String(file.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }

  private static int number(Statement statement, String query) throws SQLException {
    try (var rows = statement.executeQuery(query)) {
      rows.next();
      return rows.getInt(1);
    }
  }
}
