package triptych.payments.fakes;

import java.io.IOException;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

/**
 * A real PostgreSQL of this test run's own, on a free port. There is one for all tests, each of
 * which makes a database for itself.
 */
public final class PrivatePostgres {
  /** The password of everything. */
  public static final String PASSWORD = "private";

  private static final String USER = "shop";
  private static PrivatePostgres shared;

  private final Path home;
  private final Path bin;
  private final int port;
  private Process server;
  private int databases;

  private PrivatePostgres() throws IOException, InterruptedException {
    bin = bin();
    home = Files.createTempDirectory("payments-postgres-");
    port = freePort();
    Path password = Files.writeString(home.resolve("password"), PASSWORD);
    if (isRoot()) {
      // PostgreSQL refuses to run as root.
      Files.setPosixFilePermissions(home, PosixFilePermissions.fromString("rwxrwxrwx"));
      Files.setPosixFilePermissions(password, PosixFilePermissions.fromString("rw-r--r--"));
    }
    run(
        "initdb",
        "--pgdata=" + data(),
        "--username=" + USER,
        "--auth=scram-sha-256",
        "--pwfile=" + password,
        "--encoding=UTF8",
        "--locale=C.UTF-8",
        "--no-sync");
    start();
  }

  /** Returns the server, which is started the first time and stopped with the JVM. */
  public static synchronized PrivatePostgres shared() throws IOException, InterruptedException {
    if (shared == null) {
      shared = new PrivatePostgres();
      Runtime.getRuntime().addShutdownHook(new Thread(shared::remove));
    }
    return shared;
  }

  /** Returns the port it listens on. */
  public int port() {
    return port;
  }

  /** Makes an empty database and returns its name. */
  public synchronized String createDatabase() throws SQLException {
    String name = "test" + ++databases;
    execute("postgres", "CREATE DATABASE " + name);
    return name;
  }

  /** Runs a statement. */
  public void execute(String database, String sql) throws SQLException {
    try (Connection connection = connect(database);
        var statement = connection.createStatement()) {
      statement.execute(sql);
    }
  }

  /** Returns the one number that a query has for an answer. */
  public long number(String database, String sql) throws SQLException {
    try (Connection connection = connect(database);
        var statement = connection.createStatement();
        var rows = statement.executeQuery(sql)) {
      rows.next();
      return rows.getLong(1);
    }
  }

  /** Starts it and waits until it answers. */
  public void start() throws IOException, InterruptedException {
    server =
        process(
                "postgres",
                "-D",
                data().toString(),
                "-p",
                Integer.toString(port),
                "-c",
                "listen_addresses=127.0.0.1",
                "-c",
                "unix_socket_directories=",
                "-c",
                "fsync=off")
            .start();
    for (int attempt = 0; attempt < 600; attempt++) {
      try {
        connect("postgres").close();
        return;
      } catch (SQLException notYet) {
        Thread.sleep(50);
      }
    }
    throw new IllegalStateException("PostgreSQL does not answer; see " + log());
  }

  /** Stops it at once, as a crash would. */
  public void stop() throws IOException, InterruptedException {
    long pid = Long.parseLong(Files.readAllLines(data().resolve("postmaster.pid")).get(0));
    new ProcessBuilder("kill", "-QUIT", Long.toString(pid)).start().waitFor();
    server.waitFor();
  }

  private Connection connect(String database) throws SQLException {
    return DriverManager.getConnection(
        "jdbc:postgresql://127.0.0.1:" + port + "/" + database, USER, PASSWORD);
  }

  private void remove() {
    try (Stream<Path> files = Files.walk(home)) {
      if (server.isAlive()) {
        stop();
      }
      files.sorted(Comparator.reverseOrder()).map(Path::toFile).forEach(java.io.File::delete);
    } catch (IOException error) {
      System.err.println("left behind: " + home);
    } catch (InterruptedException error) {
      Thread.currentThread().interrupt();
    }
  }

  private Path data() {
    return home.resolve("data");
  }

  private Path log() {
    return home.resolve("log");
  }

  private void run(String program, String... arguments) throws IOException, InterruptedException {
    if (process(program, arguments).start().waitFor() != 0) {
      throw new IllegalStateException(program + " failed:\n" + Files.readString(log()));
    }
  }

  private ProcessBuilder process(String program, String... arguments) {
    List<String> command = new ArrayList<>();
    if (isRoot()) {
      command.addAll(List.of("runuser", "-u", "postgres", "--"));
    }
    command.add(bin.resolve(program).toString());
    command.addAll(List.of(arguments));
    return new ProcessBuilder(command)
        .directory(home.toFile())
        .redirectErrorStream(true)
        .redirectOutput(ProcessBuilder.Redirect.appendTo(log().toFile()));
  }

  private static boolean isRoot() {
    return System.getProperty("user.name").equals("root");
  }

  private static Path bin() throws IOException {
    Path versions = Path.of("/usr/lib/postgresql");
    if (Files.isDirectory(versions)) {
      try (Stream<Path> found = Files.list(versions)) {
        var newest =
            found
                .filter(version -> Files.isExecutable(version.resolve("bin/initdb")))
                .max(Comparator.comparingInt(v -> Integer.parseInt(v.getFileName().toString())));
        if (newest.isPresent()) {
          return newest.get().resolve("bin");
        }
      }
    }
    throw new IllegalStateException("these tests need a PostgreSQL server: install postgresql");
  }

  /** Returns a port that is free now. */
  public static int freePort() throws IOException {
    try (var socket = new ServerSocket(0)) {
      return socket.getLocalPort();
    }
  }
}
