"""The catalogue: search, detail, stock. Part of the monolith, and the base of `products`."""
