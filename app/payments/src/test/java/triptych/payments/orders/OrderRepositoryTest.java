package triptych.payments.orders;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import triptych.payments.database.Database;
import triptych.payments.database.Migrations;
import triptych.payments.fakes.PrivatePostgres;
import triptych.payments.fakes.TestSettings;

class OrderRepositoryTest {
  private static final Duration LEASE = Duration.ofMinutes(1);
  private static final Duration NO_LEASE = Duration.ZERO;
  private static final List<OrderLine> ASKED =
      List.of(OrderLine.asked(3, 2), OrderLine.asked(7, 1));
  private static final List<OrderLine> PRICED =
      List.of(new OrderLine(3, "Chair", 1000, 2), new OrderLine(7, "\"Löwe\", 'x'", 5, 1));

  private final UUID user = UUID.randomUUID();
  private PrivatePostgres postgres;
  private String name;
  private Database database;
  private OrderRepository orders;

  @BeforeEach
  void migrate() throws Exception {
    postgres = PrivatePostgres.shared();
    name = postgres.createDatabase();
    database = new Database(TestSettings.database(postgres, name));
    Migrations.run(database);
    orders = new OrderRepository(database);
  }

  @AfterEach
  void close() {
    database.close();
  }

  @Test
  void aKeyIsClaimedOnce() {
    UUID first = insert("key", LEASE);
    assertEquals(
        Optional.empty(),
        orders.insert(UUID.randomUUID(), user, "key", "pm_x", "EUR", ASKED, LEASE));
    Order order = orders.findByKey(user, "key").orElseThrow();
    assertEquals(first, order.id());
    assertEquals(OrderStatus.RESERVING, order.status());
    assertEquals(ASKED, order.lines());
    assertTrue(order.held());
    assertEquals(Optional.empty(), orders.findByKey(UUID.randomUUID(), "key"));
  }

  @Test
  void aReservingOrderIsNobodysToSee() {
    UUID id = insert("key", LEASE);
    assertEquals(Optional.empty(), orders.find(user, id));
    assertEquals(new OrderPage(List.of(), 0), orders.history(user, 1, 20));
    orders.discard(id);
    assertEquals(Optional.empty(), orders.get(id));
  }

  @Test
  void anOrderGoesFromReservingToPaidOnce() {
    UUID id = insert("key", LEASE);
    assertTrue(orders.fill(id, PRICED, LEASE));
    assertFalse(orders.fill(id, PRICED, LEASE));
    Order pending = orders.find(user, id).orElseThrow();
    assertEquals(OrderStatus.PENDING, pending.status());
    assertEquals(2005, pending.totalMinor());
    assertEquals(PRICED, pending.lines());
    orders.discard(id);
    Instant paidAt = orders.markPaid(id, "pi_1").orElseThrow();
    assertEquals(Optional.empty(), orders.markPaid(id, "pi_2"));
    assertFalse(orders.markFailed(id, "late"));
    assertEquals(pending.paid("pi_1", paidAt), orders.find(user, id).orElseThrow());
    assertEquals(Optional.empty(), orders.find(UUID.randomUUID(), id));
  }

  @Test
  void aDeclinedOrderStaysFailed() {
    UUID id = pending("key", LEASE);
    assertTrue(orders.markFailed(id, "insufficient_funds"));
    assertEquals(Optional.empty(), orders.markPaid(id, "pi_1"));
    Order failed = orders.get(id).orElseThrow();
    assertEquals(OrderStatus.PAYMENT_FAILED, failed.status());
    assertEquals("insufficient_funds", failed.failureCode());
  }

  @Test
  void anOrderThatIsGivenUpCannotBecomePending() {
    UUID id = insert("key", LEASE);
    assertTrue(orders.giveUp(id));
    assertFalse(orders.fill(id, PRICED, LEASE));
    assertTrue(orders.giveUp(id));
    UUID other = pending("other", LEASE);
    assertFalse(orders.giveUp(other));
  }

  @Test
  void aLeaseIsHeldByOne() {
    UUID id = pending("key", LEASE);
    assertFalse(orders.takeLease(id, LEASE));
    orders.dropLease(id);
    assertFalse(orders.get(id).orElseThrow().held());
    assertTrue(orders.takeLease(id, LEASE));
    assertFalse(orders.takeLease(id, LEASE));
    orders.dropLease(id);
    orders.markPaid(id, "pi_1");
    assertFalse(orders.takeLease(id, LEASE));
  }

  @Test
  void recoveryFindsWhatIsNotDoneWith() {
    insert("held", LEASE);
    UUID reserving = insert("reserving", NO_LEASE);
    UUID pending = pending("pending", NO_LEASE);
    UUID paid = pending("paid", NO_LEASE);
    orders.markPaid(paid, "pi_1");
    UUID failed = pending("failed", NO_LEASE);
    orders.markFailed(failed, "no");
    UUID done = pending("done", NO_LEASE);
    orders.markPaid(done, "pi_2");
    orders.clearDebts(done);
    List<UUID> found = new ArrayList<>();
    orders.leaseAbandoned(20, LEASE).forEach(order -> found.add(order.id()));
    assertEquals(List.of(reserving, pending, paid, failed), found);
    assertEquals(List.of(), orders.leaseAbandoned(20, LEASE));
  }

  @Test
  void recoveryTakesTheLongestUntriedFirst() throws Exception {
    UUID first = pending("first", NO_LEASE);
    UUID second = pending("second", NO_LEASE);
    assertEquals(first, orders.leaseAbandoned(1, NO_LEASE).get(0).id());
    assertEquals(second, orders.leaseAbandoned(1, NO_LEASE).get(0).id());
  }

  @Test
  void afterTwentyThreeHoursNobodyPays() throws Exception {
    UUID pending = pending("pending", NO_LEASE);
    UUID reserving = insert("reserving", NO_LEASE);
    age("22 hours 59 minutes");
    assertTrue(orders.takeLease(pending, NO_LEASE));
    age("23 hours 1 minute");
    assertFalse(orders.takeLease(pending, LEASE));
    List<Order> found = orders.leaseAbandoned(20, LEASE);
    assertEquals(List.of(reserving), found.stream().map(Order::id).toList());
    assertEquals(OrderStatus.PENDING, orders.find(user, pending).orElseThrow().status());
  }

  @Test
  void historyIsPagedNewestFirst() throws Exception {
    List<UUID> newestFirst = new ArrayList<>();
    for (int i = 0; i < 5; i++) {
      newestFirst.add(0, pending("key" + i, LEASE));
    }
    insert("unseen", LEASE);
    OrderPage page = orders.history(user, 2, 2);
    assertEquals(5, page.total());
    assertEquals(newestFirst.subList(2, 4), page.orders().stream().map(Order::id).toList());
    assertEquals(PRICED, page.orders().get(0).lines());
    assertEquals(new OrderPage(List.of(), 5), orders.history(user, 9, 20));
  }

  private UUID insert(String key, Duration lease) {
    UUID id = UUID.randomUUID();
    orders.insert(id, user, key, "pm_x", "EUR", ASKED, lease).orElseThrow();
    return id;
  }

  private UUID pending(String key, Duration lease) {
    UUID id = insert(key, lease);
    assertTrue(orders.fill(id, PRICED, lease));
    return id;
  }

  private void age(String interval) throws Exception {
    postgres.execute(
        name, "UPDATE payments.orders SET created_at = now() - interval '" + interval + "'");
  }
}
