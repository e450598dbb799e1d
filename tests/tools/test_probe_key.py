"""The probe's key to the guest, as OpenSSH reads it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from probe.models import guest as guest_module
from settings import _SSH_KEY
from toolchain.paths import Paths


def test_a_clones_key_is_made_once_and_is_its_owners_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Paths, "find", lambda: Paths(tmp_path, tmp_path, tmp_path))
    file = guest_module.key_file()
    assert file.stat().st_mode & 0o777 == 0o600
    assert guest_module.key_file().read_bytes() == file.read_bytes()
    line = guest_module.public_key(file)
    told = subprocess.run(["ssh-keygen", "-y", "-f", file], capture_output=True, text=True).stdout
    assert line.split()[:2] == told.split()[:2]
    assert _SSH_KEY.fullmatch(line)
    assert [path.name for path in file.parent.iterdir()] == ["probe-key"]
