"""Into the guest."""

from __future__ import annotations

from pathlib import Path

import pytest

from probe.errors import ProbeError
from probe.models.guest import Guest

# Into the guest.


@pytest.fixture
def guest(tmp_path: Path) -> Guest:
    """Return a guest whose shell is this machine's: SSH's place is taken by a script."""
    ssh = tmp_path / "ssh"
    ssh.write_text('#!/bin/sh\nfor word in "$@"; do last=$word; done\nexec sh -c "$last"\n')
    ssh.chmod(0o755)
    return Guest("192.0.2.1", tmp_path / "key", [str(ssh)])


def test_scripts_run_in_the_guest_with_their_arguments(guest: Guest, tmp_path: Path) -> None:
    assert guest.run('echo "$1+$2"', "10.0.0.1", "a,b") == "10.0.0.1+a,b\n"
    guest.write(f"{tmp_path}/folder/file", "text\n")
    assert (tmp_path / "folder" / "file").read_text() == "text\n"


@pytest.mark.parametrize("word", ["$(reboot)", "a b", "x'y", "a\nb"])
def test_nothing_is_handed_to_the_guest_that_a_shell_could_read(guest: Guest, word: str) -> None:
    with pytest.raises(ProbeError, match="nothing to hand to the guest"):
        guest.run("true", word)


def test_a_guest_that_lets_nobody_in_is_one_line(guest: Guest) -> None:
    with pytest.raises(ProbeError, match=r"^the guest by SSH: Permission denied \(publickey\)\.$"):
        guest.run("echo first >&2; echo 'Permission denied (publickey).' >&2; exit 255")
