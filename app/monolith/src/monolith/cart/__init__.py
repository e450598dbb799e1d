"""The cart: one per user, kept in Valkey."""
