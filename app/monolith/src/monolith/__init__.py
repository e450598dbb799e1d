"""Triptych's shop as one process: a modular monolith behind `app/contract/openapi.yaml`."""
