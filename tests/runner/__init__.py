"""Runs every suite of the tests, several beside each other; see docs/tests.md."""
