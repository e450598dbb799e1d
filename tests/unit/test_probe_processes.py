from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from probe import cgroups, processes

MIB = 2**20

# A process that holds memory and starts the next one, which holds some too, and so on.
TREE = """
import subprocess, sys, time
first, *rest = sys.argv[2:]
held = bytearray(b"x") * (int(first) * 2**20)
if rest:
    subprocess.Popen([sys.executable, "-c", sys.argv[1], sys.argv[1], *rest])
else:
    print("there", flush=True)
time.sleep(60)
"""


def start(*sizes_mib: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", TREE, TREE, *map(str, sizes_mib)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "there"
    return process


@pytest.fixture
def tree() -> Iterator[subprocess.Popen[str]]:
    process = start(10, 20, 30)
    yield process
    for pid in processes.tree_of(process.pid):
        os.kill(pid, 9)
    process.wait()


def test_a_tree_of_known_size_is_counted_whole(tree: subprocess.Popen[str]) -> None:
    pids = processes.tree_of(tree.pid)
    assert len(pids) == 3
    memory = processes.memory_of_all(pids)
    # 60 MiB held; the interpreters themselves take a few MiB each.
    assert 60 * MIB <= memory.pss_anon_bytes <= 60 * MIB + 3 * 12 * MIB
    assert memory.pss_bytes >= memory.pss_anon_bytes
    assert memory.rss_bytes >= memory.pss_bytes


def test_each_process_counts_once(tree: subprocess.Popen[str]) -> None:
    once = processes.memory_of_all([tree.pid]).pss_anon_bytes
    twice = processes.memory_of_all([tree.pid, tree.pid]).pss_anon_bytes
    assert twice == once
    assert 10 * MIB <= once < 25 * MIB


def test_a_process_that_went_counts_as_nothing() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    assert processes.memory_of(process.pid) == processes.Memory()
    assert processes.stat_of(process.pid) is None
    assert processes.command_of(process.pid) == []


def test_cpu_time_of_a_busy_process_is_found() -> None:
    # It ends its loop by its own CPU time, however busy the machine is, and says so.
    busy = "import time\nwhile time.process_time() < 0.3: pass\nprint(flush=True)\ntime.sleep(60)\n"
    process = subprocess.Popen([sys.executable, "-c", busy], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        stat = processes.stat_of(process.pid)
    finally:
        process.kill()
        process.communicate()
    assert stat is not None
    assert stat.parent == os.getpid()
    assert 0.25 <= stat.cpu_s <= 0.4


def test_names_with_blanks_and_brackets_are_read(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    fields = "S 1 7 7 0 -1 0 0 0 0 0 100 50 20 30 20 0 1 0 999 0 0"
    (tmp_path / "7" / "stat").write_text(f"7 (a) b (c) {fields}\n")
    stat = processes.stat_of(7, tmp_path)
    assert stat is not None
    assert stat.name == "a) b (c"
    assert stat.parent == 1
    assert stat.cpu_s == pytest.approx(1.5)
    assert stat.cpu_with_children_s == pytest.approx(2.0)


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
