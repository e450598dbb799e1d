"""Harness and recorded fixtures for the tests of the libvirt plugin."""
