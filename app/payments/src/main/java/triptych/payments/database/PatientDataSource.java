package triptych.payments.database;

import java.io.PrintWriter;
import java.sql.Connection;
import java.sql.SQLException;
import java.sql.SQLFeatureNotSupportedException;
import java.time.Duration;
import java.util.logging.Logger;
import javax.sql.DataSource;

/**
 * Connects as soon as the server is there: it tries every 50 ms, for half a minute.
 *
 * <p>The pool itself would wait ever longer between attempts, up to 5 s, and requests would still
 * fail when the database has long been back. Who waits for a connection is not kept longer by this:
 * the pool's own time-out holds.
 */
final class PatientDataSource implements DataSource {
  private static final Duration PAUSE = Duration.ofMillis(50);
  private static final Duration PATIENCE = Duration.ofSeconds(30);

  private final DataSource server;
  private volatile String lastFailure;

  PatientDataSource(DataSource server) {
    this.server = server;
  }

  /** Returns what the last failed attempt met, or null. */
  String lastFailure() {
    return lastFailure;
  }

  @Override
  public Connection getConnection() throws SQLException {
    long deadline = System.nanoTime() + PATIENCE.toNanos();
    while (true) {
      try {
        return server.getConnection();
      } catch (SQLException error) {
        lastFailure = error.getMessage();
        if (System.nanoTime() > deadline) {
          throw error;
        }
        pause(error);
      }
    }
  }

  private static void pause(SQLException error) throws SQLException {
    try {
      Thread.sleep(PAUSE.toMillis());
    } catch (InterruptedException closing) {
      Thread.currentThread().interrupt();
      throw error;
    }
  }

  @Override
  public Connection getConnection(String user, String password) throws SQLException {
    return server.getConnection(user, password);
  }

  @Override
  public PrintWriter getLogWriter() throws SQLException {
    return server.getLogWriter();
  }

  @Override
  public void setLogWriter(PrintWriter writer) throws SQLException {
    server.setLogWriter(writer);
  }

  /**
   * Does nothing: the pool hands on its callers' patience, and a connection that takes longer than
   * that to set up (a third of a slow processor has to work out the password's proof) would be
   * given up and begun again for ever. The server's own time-outs for connecting and reading hold.
   */
  @Override
  public void setLoginTimeout(int seconds) {}

  @Override
  public int getLoginTimeout() throws SQLException {
    return server.getLoginTimeout();
  }

  @Override
  public Logger getParentLogger() throws SQLFeatureNotSupportedException {
    return server.getParentLogger();
  }

  @Override
  public <T> T unwrap(Class<T> type) throws SQLException {
    return server.unwrap(type);
  }

  @Override
  public boolean isWrapperFor(Class<?> type) throws SQLException {
    return server.isWrapperFor(type);
  }
}
