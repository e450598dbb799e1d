"""The record of a guest's disk."""

from __future__ import annotations

import json
from pathlib import Path

from toolchain.artefacts.guest_disk import read_disk


def test_a_disk_with_a_part_missing_is_no_disk(tmp_path: Path) -> None:
    record = {"virtual_bytes": 1, "shipped_bytes": 1, "unpacked_bytes": 1, "build_s": 1.0}
    (tmp_path / "guest-monolith-0.json").write_text(json.dumps(record))
    for name in ("guest-monolith-0.qcow2", "vmlinuz-monolith-0", "initrd-monolith-0"):
        (tmp_path / name).write_text("")
    assert read_disk(tmp_path, "monolith", "0") is not None
    assert read_disk(tmp_path, "microservices", "0") is None
    (tmp_path / "initrd-monolith-0").unlink()
    assert read_disk(tmp_path, "monolith", "0") is None
