"""Paths of properties, as ignore_changes has them."""

from __future__ import annotations

import pytest

from plugins.bridge.paths import covers


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("memory", "memory", True),
        ("memory", "memorySwap", False),
        ("disks", "disks[0].scsi", True),
        ("interfaces[0].addresses", "interfaces[0].addresses[0]", True),
        ("interfaces[0].addresses", "interfaces[0].mac", False),
        ("interfaces[*].addresses", "interfaces[3].addresses[0]", True),
        ("a.*", "a.b", True),
        ("a.b", "a", False),
    ],
)
def test_what_ignore_changes_covers(pattern: str, path: str, expected: bool) -> None:
    assert covers(pattern, path) is expected
