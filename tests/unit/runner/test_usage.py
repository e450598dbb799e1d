"""Whose the CPU of a container or a machine is."""

from __future__ import annotations

from pathlib import Path

import pytest

from probe import cgroups
from probe.cgroups import Membership
from tests.runner import usage
from tests.runner.usage import Usage, favour
from tests.support import ledger
from tests.support.ledger import Entry


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Stand for what runs: CPU seconds by the stack that it carries the name of."""
    running: dict[str, float] = {}
    made = [Entry("stack", "e2e-dev-1", 1, 0.0, "side by side")]
    monkeypatch.setattr(ledger, "entries", lambda: made)
    monkeypatch.setattr(usage, "_stacks_of_engines", lambda: {"cmp-2-docker": "probe in docker"})
    monkeypatch.setattr(usage, "_containers", lambda: [(f"c {s}", s) for s in running])
    machines = [(7, "e2e-dev-1-vm", 3.0), (8, "somebodys", 3.0)]
    monkeypatch.setattr(usage, "_machines", lambda: machines)
    monkeypatch.setattr(usage, "favour", lambda _pid: None)
    monkeypatch.setattr(Usage, "_container_cpu_s", lambda _usage, name: running[name[2:]])
    return running


def test_what_a_stack_takes_is_its_suites(host: dict[str, float]) -> None:
    found = Usage()
    found.notice()
    host |= {"e2e-dev-1-docker": 2.0, "cmp-2-docker": 5.0, "somebody": 40.0, "": 1.0}
    found.sample()
    host["cmp-2-docker"] = 9.0
    found.sample()
    assert found.deployed_cpu_s == {"side by side": 5.0, "probe in docker": 9.0}


def test_a_name_that_only_begins_alike_is_another_stack(host: dict[str, float]) -> None:
    found = Usage()
    found.notice()
    host["e2e-dev-12"] = 4.0
    found.sample()
    assert found.deployed_cpu_s == {"side by side": 3.0}


def test_our_own_machines_go_first_and_are_told_so_once(
    host: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    monkeypatch.setattr(usage, "favour", told.append)
    found = Usage()
    found.notice()
    found.notice()
    assert told == [7]


def test_a_container_that_is_still_where_the_daemon_is_has_not_its_figures(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Between its process and its control group there is a moment."""
    daemon, own = tmp_path / "daemon", tmp_path / "docker" / "c0ffee"
    places = [daemon, own]
    monkeypatch.setattr(usage, "_docker", lambda *_words: "17")
    monkeypatch.setattr(cgroups, "membership", lambda _pid: Membership(2, places[0], places.pop(0)))
    monkeypatch.setattr(
        cgroups, "usage_of", lambda where: cgroups.Usage(0, 0, 4.0 if where.cpu == own else 9e9)
    )
    found = Usage()
    assert [found._container_cpu_s("c0ffee") for _ in range(3)] == [None, 4.0, 4.0]


def test_a_machine_that_is_gone_or_not_ours_to_favour_stays_as_it_is() -> None:
    favour(2**22 + 1)  # beyond the largest process ID
