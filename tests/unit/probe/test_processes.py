"""Processes: their memory and CPU time, and their end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from probe import processes
from probe.errors import ProbeError


def test_processes_are_killed() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    processes.kill((child.pid,))
    assert child.wait(10) == -9
    with pytest.raises(ProbeError, match="no process to kill"):
        processes.kill((child.pid,))


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
