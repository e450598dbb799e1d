"""Checkout: from cart to paid order, exactly once per idempotency key."""
