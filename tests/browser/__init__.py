"""A person's way through the shop, in a real browser."""
