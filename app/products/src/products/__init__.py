"""The catalogue as a service of its own: search, detail, stock and its reservation."""
