"""Orders: recorded before payment, final after it."""
