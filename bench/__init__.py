"""Holds our speed and size against docker compose's and virsh's: `make bench`, `docs/bench.md`."""
