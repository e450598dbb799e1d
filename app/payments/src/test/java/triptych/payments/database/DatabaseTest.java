package triptych.payments.database;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.sql.SQLException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import triptych.payments.fakes.PrivatePostgres;
import triptych.payments.fakes.TestSettings;
import triptych.payments.http.Problem;
import triptych.payments.http.ProblemType;

class DatabaseTest {
  private PrivatePostgres postgres;
  private String name;
  private Database database;

  @BeforeEach
  void open() throws Exception {
    postgres = PrivatePostgres.shared();
    name = postgres.createDatabase();
    database = new Database(TestSettings.database(postgres, name));
  }

  @AfterEach
  void close() {
    database.close();
  }

  @Test
  void severalAtOnceMigrateOnce() throws Exception {
    var threads = Executors.newFixedThreadPool(3);
    var together = new CountDownLatch(3);
    List<Database> databases = new ArrayList<>();
    List<Future<?>> done = new ArrayList<>();
    for (int i = 0; i < 3; i++) {
      var own = new Database(TestSettings.database(postgres, name));
      databases.add(own);
      done.add(
          threads.submit(
              () -> {
                together.countDown();
                together.await();
                Migrations.run(own);
                return null;
              }));
    }
    for (Future<?> one : done) {
      one.get();
    }
    threads.shutdown();
    databases.forEach(Database::close);
    assertEquals(1, postgres.number(name, "SELECT count(*) FROM payments.migrations"));
    assertEquals(0, postgres.number(name, "SELECT count(*) FROM payments.orders"));
  }

  @Test
  void whatIsUpToDateIsLeftAlone() throws Exception {
    Migrations.run(database);
    postgres.execute(name, "REVOKE CREATE ON DATABASE " + name + " FROM public");
    long before = postgres.number(name, "SELECT xmin::text::bigint FROM payments.migrations");
    Migrations.run(database);
    assertEquals(
        before, postgres.number(name, "SELECT xmin::text::bigint FROM payments.migrations"));
  }

  @Test
  void theFirstRequestAfterARestartSucceeds() throws Exception {
    for (int i = 0; i < 3; i++) {
      database.ping();
    }
    postgres.stop();
    postgres.start();
    database.ping();
  }

  @Test
  void anOutageIsSaidSoonAndEndsByItself() throws Exception {
    database.ping();
    postgres.stop();
    try {
      long started = System.nanoTime();
      var problem = assertThrows(Problem.class, database::ping);
      assertEquals(ProblemType.DEPENDENCY_UNAVAILABLE, problem.type());
      assertTrue(System.nanoTime() - started < Duration.ofSeconds(10).toNanos());
      assertTrue(database.lastFailure().contains("refused"), database.lastFailure());
    } finally {
      postgres.start();
    }
    database.ping();
  }

  @Test
  void aDefectOfOursIsNoOutage() {
    assertThrows(
        IllegalStateException.class,
        () ->
            database.run(
                connection -> {
                  try (var statement = connection.createStatement()) {
                    return statement.execute("SELECT nonsense");
                  }
                }));
  }

  @Test
  void aSlowStatementIsCutOff() throws Exception {
    var problem =
        assertThrows(
            Problem.class,
            () ->
                database.run(
                    connection -> {
                      try (var statement = connection.createStatement()) {
                        statement.execute("SET statement_timeout = 50");
                        return statement.execute("SELECT pg_sleep(10)");
                      }
                    }));
    assertTrue(problem.getCause() instanceof SQLException);
  }
}
