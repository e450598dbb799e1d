"""Facts about the machine."""

from __future__ import annotations

import pytest

from toolchain import host


def test_missing_capabilities_are_those_not_in_the_bounding_set() -> None:
    assert host.missing_capabilities("CapBnd:\t000001fffeffffff\n") == ("CAP_SYS_RESOURCE",)
    assert host.missing_capabilities("CapBnd:\t000001ffffffffff\n") == ()


@pytest.mark.parametrize(
    ("mounts", "version"),
    [
        ("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n", "v2"),
        ("a /a cgroup rw 0 0\nb /b cgroup2 rw 0 0\n", "v1 with v2 beside it"),
        ("a /a cgroup rw 0 0\n", "v1"),
        ("", "none mounted"),
    ],
)
def test_control_group_version(mounts: str, version: str) -> None:
    assert host.cgroup_version(mounts) == version


def test_os_release_is_read() -> None:
    text = 'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nVERSION_CODENAME=trixie\n'
    assert host.os_release(text)["VERSION_CODENAME"] == "trixie"
    assert host.os_release(text)["PRETTY_NAME"] == "Debian GNU/Linux 13 (trixie)"
