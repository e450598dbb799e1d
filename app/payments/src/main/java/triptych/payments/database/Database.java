package triptych.payments.database;

import com.zaxxer.hikari.HikariDataSource;
import java.net.SocketTimeoutException;
import java.sql.Connection;
import java.sql.SQLException;
import java.sql.SQLTransientConnectionException;
import java.time.Duration;
import java.util.Set;
import javax.sql.DataSource;
import org.postgresql.ds.PGSimpleDataSource;
import triptych.payments.Settings;
import triptych.payments.http.Problem;

/** PostgreSQL behind a small pool; an outage is one kind of problem. */
public final class Database implements AutoCloseable {
  /** What the database is called in answers. */
  public static final String NAME = "database";

  /** Schema that holds everything of this service. */
  public static final String SCHEMA = "payments";

  /** Longest wait for a connection, a new one or one that others have. */
  private static final Duration CONNECT_TIMEOUT = Duration.ofSeconds(1);

  private static final Duration RETRY_PAUSE = Duration.ofMillis(50);

  // SQLSTATE classes that mean "the server, not the statement": connection failures, out of
  // resources, operator intervention (shutdown, start-up, cancelled by time-out), system error.
  private static final Set<String> SERVER_FAULTS = Set.of("08", "53", "57", "58");

  private static final String CONNECTION_FAULTS = "08";
  private static final String NO_CONNECTION = "08006";
  private static final Set<String> SHUTDOWNS = Set.of("57P01", "57P02", "57P03");

  /** Work with a connection that may be done twice. */
  @FunctionalInterface
  public interface Work<T> {
    /** Does it. */
    T run(Connection connection) throws SQLException;
  }

  private final PatientDataSource server;
  private final HikariDataSource pool;

  /** Makes the pool; it connects when it is first used. */
  public Database(Settings settings) {
    server = new PatientDataSource(address(settings));
    pool = pool(server, settings);
  }

  /** Returns a pool of connections to a server. */
  public static HikariDataSource pool(DataSource server, Settings settings) {
    var pool = new HikariDataSource();
    pool.setPoolName("payments");
    pool.setDataSource(server);
    pool.setMaximumPoolSize(settings.databasePoolSize());
    pool.setMinimumIdle(0);
    pool.setConnectionTimeout(CONNECT_TIMEOUT.toMillis());
    pool.setValidationTimeout(CONNECT_TIMEOUT.toMillis());
    pool.setInitializationFailTimeout(-1);
    return pool;
  }

  /** Returns where the database is and how to talk to it. */
  public static PGSimpleDataSource address(Settings settings) {
    var server = new PGSimpleDataSource();
    server.setServerNames(new String[] {settings.databaseHost()});
    server.setPortNumbers(new int[] {settings.databasePort()});
    server.setDatabaseName(settings.databaseName());
    server.setUser(settings.databaseUser());
    server.setPassword(settings.databasePassword().value());
    server.setApplicationName("triptych-payments");
    server.setCurrentSchema(SCHEMA);
    server.setAssumeMinServerVersion("15"); // fewer round trips for a new connection
    server.setGssEncMode("disable");
    server.setConnectTimeout((int) CONNECT_TIMEOUT.toSeconds());
    // The server gives up first; the socket's time-out is for a server that hangs.
    server.setOptions("-c statement_timeout=" + settings.databaseTimeout().toMillis());
    server.setSocketTimeout((int) settings.databaseTimeout().plusSeconds(1).toSeconds());
    return server;
  }

  /**
   * Runs work that may be done twice: a connection that turns out to be stale is replaced, once.
   *
   * @throws Problem 503 if the database is away
   */
  public <T> T run(Work<T> work) {
    try {
      return attempt(work);
    } catch (SQLException first) {
      if (!isStaleConnection(first)) {
        throw translated(first);
      }
    }
    try {
      // The others in the pool are from before the server's restart as well.
      pool.getHikariPoolMXBean().softEvictConnections();
      Thread.sleep(RETRY_PAUSE.toMillis());
      return attempt(work);
    } catch (SQLException second) {
      throw translated(second);
    } catch (InterruptedException error) {
      Thread.currentThread().interrupt();
      throw Problem.unavailable(NAME, error);
    }
  }

  /** Asks the server for an answer; throws the 503 problem if there is none. */
  public void ping() {
    run(
        connection -> {
          if (!connection.isValid((int) CONNECT_TIMEOUT.toSeconds())) {
            throw new SQLException("no answer", NO_CONNECTION);
          }
          return null;
        });
  }

  /** Says why the last attempt to connect failed, for the operator; null if none did. */
  public String lastFailure() {
    return server.lastFailure();
  }

  private <T> T attempt(Work<T> work) throws SQLException {
    try (Connection connection = pool.getConnection()) {
      return work.run(connection);
    }
  }

  private static boolean isStaleConnection(SQLException error) {
    String state = error.getSQLState();
    return !(error instanceof SQLTransientConnectionException) // nobody connected in time
        && !(error.getCause() instanceof SocketTimeoutException) // it hangs: so would another
        && state != null
        && (state.startsWith(CONNECTION_FAULTS) || SHUTDOWNS.contains(state));
  }

  private static RuntimeException translated(SQLException error) {
    String state = error.getSQLState();
    boolean away =
        error instanceof SQLTransientConnectionException
            || (state != null
                && state.length() == 5
                && SERVER_FAULTS.contains(state.substring(0, 2)));
    return away ? Problem.unavailable(NAME, error) : new IllegalStateException(error);
  }

  /** Closes every connection. */
  @Override
  public void close() {
    pool.close();
  }
}
