"""Control groups of both versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from probe import cgroups

# Control groups, both kinds, from made-up file systems.


def make_v1(root: Path, proc: Path, pid: int, path: str, used: int, cache: int, ns: int) -> None:
    memory, cpu = root / "memory" / path, root / "cpuacct" / path
    for folder in (memory, cpu):
        folder.mkdir(parents=True, exist_ok=True)
        procs = folder / "cgroup.procs"
        procs.write_text((procs.read_text() if procs.exists() else "") + f"{pid}\n")
    (memory / "memory.usage_in_bytes").write_text(f"{used}\n")
    (memory / "memory.stat").write_text(f"inactive_file 1\ntotal_inactive_file {cache}\n")
    (cpu / "cpuacct.usage").write_text(f"{ns}\n")
    (proc / str(pid)).mkdir(parents=True)
    (proc / str(pid) / "cgroup").write_text(f"4:memory:/{path}\n2:cpuacct:/{path}\n0::/\n")


def make_v2(root: Path, proc: Path, pid: int, path: str, used: int, cache: int, us: int) -> None:
    root.mkdir(parents=True, exist_ok=True)
    (root / "cgroup.controllers").write_text("cpu memory\n")
    folder = root / path
    folder.mkdir(parents=True, exist_ok=True)
    procs = folder / "cgroup.procs"
    procs.write_text((procs.read_text() if procs.exists() else "") + f"{pid}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 1\ninactive_file {cache}\n")
    (folder / "cpu.stat").write_text(f"usage_usec {us}\nuser_usec 0\n")
    (proc / str(pid)).mkdir(parents=True)
    (proc / str(pid) / "cgroup").write_text(f"0::/{path}\n")


def test_cgroup_v1_figures(tmp_path: Path) -> None:
    root, proc = tmp_path / "cg", tmp_path / "proc"
    make_v1(root, proc, 11, "docker/aaa", 100, 30, 2_000_000_000)
    make_v1(root, proc, 12, "docker/bbb", 50, 10, 500_000_000)
    found = cgroups.memory([11, 12], proc=proc, root=root)
    assert found == cgroups.MemoryUsage(150, 40)
    assert cgroups.cpu_seconds([11, 12], proc=proc, root=root) == 2.5


def test_cgroup_v2_figures(tmp_path: Path) -> None:
    root, proc = tmp_path / "cg", tmp_path / "proc"
    make_v2(root, proc, 11, "docker/aaa", 100, 30, 2_000_000)
    make_v2(root, proc, 12, "docker/bbb", 50, 10, 500_000)
    found = cgroups.memory([11, 12], proc=proc, root=root)
    assert found == cgroups.MemoryUsage(150, 40)
    assert cgroups.cpu_seconds([11, 12], proc=proc, root=root) == 2.5


def test_two_processes_of_one_group_count_it_once(tmp_path: Path) -> None:
    root, proc = tmp_path / "cg", tmp_path / "proc"
    make_v2(root, proc, 11, "docker/aaa", 100, 30, 1_000_000)
    make_v2(root, proc, 12, "docker/aaa", 100, 30, 1_000_000)
    assert cgroups.memory([11, 12], proc=proc, root=root) == cgroups.MemoryUsage(100, 30)
    assert cgroups.cpu_seconds([11, 12], proc=proc, root=root) == 1.0


def test_a_shared_group_is_not_put_down_to_one(tmp_path: Path) -> None:
    root, proc = tmp_path / "cg", tmp_path / "proc"
    make_v2(root, proc, 11, "session", 100, 30, 1_000_000)
    make_v2(root, proc, 12, "session", 100, 30, 1_000_000)
    with pytest.raises(cgroups.NotAlone, match="session"):
        cgroups.memory([11], proc=proc, root=root)


def test_a_short_lived_health_check_is_no_stranger(tmp_path: Path) -> None:
    root, proc = tmp_path / "cg", tmp_path / "proc"
    make_v2(root, proc, 11, "docker/aaa", 100, 30, 1_000_000)
    make_v2(root, proc, 12, "docker/aaa", 100, 30, 1_000_000)
    assert cgroups.memory([11], marks=["aaa"], proc=proc, root=root).used_bytes == 100


def test_one_controllers_shared_group_does_not_spoil_the_other(tmp_path: Path) -> None:
    root, proc = tmp_path / "cg", tmp_path / "proc"
    make_v1(root, proc, 11, "machine/vm", 100, 30, 1_000_000_000)
    make_v1(root, proc, 12, "other", 100, 30, 1_000_000_000)
    for pid in (11, 12):
        path = proc / str(pid) / "cgroup"
        path.write_text(path.read_text().replace("cpuacct:/machine/vm", "cpuacct:/other"))
    (root / "cpuacct" / "other" / "cgroup.procs").write_text("11\n12\n")
    assert cgroups.memory([11], proc=proc, root=root).used_bytes == 100
    with pytest.raises(cgroups.NotAlone):
        cgroups.cpu_seconds([11], proc=proc, root=root)
