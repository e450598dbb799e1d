"""The pool of guest disks."""

from __future__ import annotations

import pytest

from toolchain.artefacts import pool


def test_only_older_volumes_that_nothing_stands_on_are_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    head = " Name Path\n----\n"
    old, used, new = (
        "guest-aaaaaaaaaaaa.qcow2",
        "guest-x-bbbbbbbbbbbb.qcow2",
        "guest-x-cccccccccccc",
    )
    answers = {
        ("vol-list", pool.POOL): f"{head} {old} /p/{old}\n {used} /p/{used}\n {new} /p/{new}\n"
        " mine.qcow2 /p/mine.qcow2\n",
        ("pool-list", "--name"): f"{pool.POOL}\ntriptych-vm\nsomebody\n",
        ("vol-list", "triptych-vm"): f"{head} root.qcow2 /q/root.qcow2\n",
        ("vol-dumpxml", "--pool", "triptych-vm", "root.qcow2"): f"<path>/p/{used}</path>",
        ("list", "--all", "--name"): "",
    }
    monkeypatch.setattr(pool, "_virsh", lambda *words: answers[words])
    assert pool.unused({new}) == [old]
