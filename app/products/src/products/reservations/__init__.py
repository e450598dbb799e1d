"""Reservations: stock that is taken for an order, once, and given back at most once."""
