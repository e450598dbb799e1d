"""Versions as numbers."""

from __future__ import annotations

from toolchain.versions import at_least, within


def test_versions_compare_as_numbers() -> None:
    assert at_least("v3.100.0", "3.99")
    assert not at_least("v3.9", "3.10")
    assert not at_least("nothing", "0.1")
    assert within("3.274.1", "3.250", "4.0")
    assert not within("4.0.0", "3.250", "4.0")
