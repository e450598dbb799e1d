package triptych.payments.orders;

import java.util.List;

/** One page of a user's orders, newest first, and how many there are in all. */
public record OrderPage(List<Order> orders, long total) {}
