"""The gate between processes: the order in which they come in is what they write down themselves.

That one waits is known from the kernel's list of locks, not from nothing having happened for long.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from toolchain import gate
from toolchain.gate import Gate

ROOT = Path(__file__).resolve().parents[3]
#: Against waiting for ever, where the gate is broken.
_HANGS_S = 60

VISITOR = """
import os, sys
from toolchain import gate

name, how, diary = sys.argv[1:]

def note(what):
    with open(diary, "a") as file:
        file.write(f"{name} {what}\\n")

with getattr(gate, how)():
    note("in")
    print("in", flush=True)
    sys.stdin.readline()
    note("out")
"""


class Visitor:
    """Another process that comes through the gate, and stays until it is told to leave."""

    def __init__(self, folder: Path, *command: str, pass_fds: tuple[int, ...] = ()) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", *command],
            cwd=ROOT,
            env={**os.environ, gate.VARIABLE: str(folder / "gate")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            pass_fds=pass_fds,
        )

    def comes_in(self) -> Visitor:
        assert self.process.stdout is not None
        assert select.select([self.process.stdout], [], [], _HANGS_S)[0], "it is not let in"
        assert self.process.stdout.readline() == "in\n"
        return self

    def waits(self) -> Visitor:
        """Return when the kernel has it in its list of those who wait for a lock."""
        await_waiting(self.process.pid)
        return self

    def leaves(self) -> None:
        self.process.communicate("\n")
        assert self.process.returncode == 0

    def dies(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def await_waiting(pid: int) -> None:
    deadline_s = time.monotonic() + _HANGS_S
    while not any(
        fields[1] == "->" and int(fields[5]) == pid
        for line in Path("/proc/locks").read_text().splitlines()
        if (fields := line.split())
    ):
        assert time.monotonic() < deadline_s, "it does not wait"
        time.sleep(0.01)


class Visitors:
    """Makes visitors of one gate, and knows in which order they came and went."""

    def __init__(self, folder: Path, made: ExitStack) -> None:
        self.folder = folder
        self._made = made

    def __call__(self, name: str, how: str) -> Visitor:
        return self.start(VISITOR, name, how, str(self.folder / "diary"))

    def start(self, *command: str, pass_fds: tuple[int, ...] = ()) -> Visitor:
        visitor = Visitor(self.folder, *command, pass_fds=pass_fds)
        # Which closes its input, for what it forked as well.
        self._made.callback(visitor.process.communicate)
        self._made.callback(visitor.process.kill)
        return visitor

    @property
    def gate(self) -> Gate:
        return Gate(self.folder / "gate")

    @property
    def diary(self) -> list[str]:
        return (self.folder / "diary").read_text().splitlines()


@pytest.fixture
def visitors(tmp_path: Path) -> Iterator[Visitors]:
    with ExitStack() as made:
        yield Visitors(tmp_path, made)


def test_ordinary_ones_are_there_together(visitors: Visitors) -> None:
    one = visitors("one", "beside").comes_in()
    other = visitors("other", "beside").comes_in()
    one.leaves()
    other.leaves()
    assert visitors.diary == ["one in", "other in", "one out", "other out"]


@pytest.mark.parametrize(
    ("first", "second"), [("beside", "alone"), ("alone", "beside"), ("alone", "alone")]
)
def test_who_is_alone_has_nobody_beside(visitors: Visitors, first: str, second: str) -> None:
    one = visitors("first", first).comes_in()
    other = visitors("second", second).waits()
    one.leaves()
    other.comes_in().leaves()
    assert visitors.diary == ["first in", "first out", "second in", "second out"]


def test_those_who_come_later_wait_behind_who_wants_to_be_alone(visitors: Visitors) -> None:
    early = visitors("early", "beside").comes_in()
    alone = visitors("alone", "alone").waits()
    late = [visitors(name, "beside").waits() for name in ("late", "later")]
    early.leaves()
    alone.comes_in().leaves()
    for one in late:
        one.comes_in()
        one.leaves()
    assert visitors.diary[:4] == ["early in", "early out", "alone in", "alone out"]


@pytest.mark.parametrize(("first", "second"), [("beside", "alone"), ("alone", "beside")])
def test_who_dies_holds_nothing(visitors: Visitors, first: str, second: str) -> None:
    one = visitors("first", first).comes_in()
    other = visitors("second", second).waits()
    one.dies()
    other.comes_in().leaves()
    assert visitors.diary == ["first in", "second in", "second out"]


def test_who_dies_in_the_turnstile_blocks_it_no_longer(visitors: Visitors) -> None:
    one = visitors("one", "beside").comes_in()
    dead = visitors("dead", "alone").waits()
    other = visitors("other", "beside").waits()
    dead.dies()
    other.comes_in().leaves()
    one.leaves()
    assert visitors.diary == ["one in", "other in", "other out", "one out"]


def test_what_a_thread_holds_it_may_ask_for_again(visitors: Visitors) -> None:
    gate = visitors.gate
    with gate.beside(), gate.beside():
        waits = visitors("alone", "alone").waits()
        # Another time through the turnstile would be for ever.
        with gate.beside():
            pass
        waits.waits()
    waits.comes_in().leaves()
    with gate.alone(), gate.beside(), gate.alone():
        waits = visitors("later", "beside").waits()
    waits.comes_in().leaves()


def test_alone_within_beside_lets_others_go_first_and_is_beside_again(visitors: Visitors) -> None:
    gate = visitors.gate
    with gate.beside():
        # Both have only the other one to wait for.
        other = visitors("other", "alone").waits()
        leaver = threading.Thread(target=lambda: other.comes_in().leaves())
        leaver.start()
        with gate.alone():
            assert visitors.diary == ["other in", "other out"]
            leaver.join()
            late = visitors("late", "beside").waits()
        late.comes_in().leaves()
        last = visitors("last", "alone").waits()
    last.comes_in().leaves()


def test_stepping_aside_lets_others_be_alone(visitors: Visitors) -> None:
    gate = visitors.gate
    with gate.beside():
        other = visitors("other", "alone").waits()
        with gate.stepped_aside():
            other.comes_in().leaves()
            # Who has stepped aside is nowhere, and may come in as others do.
            with gate.alone():
                late = visitors("late", "beside").waits()
            late.comes_in().leaves()
        last = visitors("last", "alone").waits()
    last.comes_in().leaves()


def test_who_is_alone_does_not_step_aside(visitors: Visitors) -> None:
    with (
        visitors.gate.alone(),
        pytest.raises(RuntimeError, match="does not step aside"),
        visitors.gate.stepped_aside(),
    ):
        pass


def test_threads_exclude_each_other(visitors: Visitors) -> None:
    gate = visitors.gate
    diary = []

    def alone() -> None:
        with gate.alone():
            diary.append("thread in")

    thread = threading.Thread(target=alone)
    with gate.beside():
        thread.start()
        # The kernel knows a thread's locks by its process.
        await_waiting(os.getpid())
        diary.append("out")
    thread.join()
    assert diary == ["out", "thread in"]


def test_a_forked_child_holds_nothing_and_releases_nothing(visitors: Visitors) -> None:
    program = (
        "import os, sys\n"
        "from toolchain import gate\n"
        "with gate.alone():\n"
        "    if not os.fork():\n"
        "        sys.stdin.readline()\n"
        "        os._exit(0)\n"
        "    child = os.fork()\n"
        "    if not child:\n"
        "        sys.exit()\n"
        "    os.waitpid(child, 0)\n"
        "    print('in', flush=True)\n"
        "    os.read(3, 1)\n"
    )
    until, leave = os.pipe()
    parent = visitors.start(f"import os\nos.dup2({until}, 3)\n{program}", pass_fds=(until,))
    parent.comes_in()
    # One child has left the block, by the way on which it would have unlocked.
    other = visitors("other", "beside").waits()
    os.write(leave, b"\n")
    # The other child is still there, and would have kept the lock.
    other.comes_in().leaves()
    parent.leaves()


def test_no_gate_is_an_open_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(gate.VARIABLE, raising=False)
    with gate.beside(), gate.alone(), gate.beside():
        pass
    with gate.stepped_aside():
        pass


def test_a_coroutine_is_beside_others_meanwhile(
    visitors: Visitors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one of the same thread as well: a hold is not the event loop's."""
    monkeypatch.setenv(gate.VARIABLE, str(visitors.folder / "gate"))

    async def both() -> None:
        async with gate.beside_others(), gate.beside_others():
            assert not _is_free(visitors)
        assert _is_free(visitors)

    asyncio.run(both())


def test_a_coroutine_that_is_cancelled_leaves(
    visitors: Visitors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(gate.VARIABLE, str(visitors.folder / "gate"))

    async def waits(inside: asyncio.Event) -> None:
        async with gate.beside_others():
            inside.set()
            await asyncio.Event().wait()

    async def ended() -> None:
        inside = asyncio.Event()
        task = asyncio.create_task(waits(inside))
        await inside.wait()
        task.cancel()
        await asyncio.wait((task,))

    asyncio.run(ended())
    assert _is_free(visitors)


def _is_free(visitors: Visitors) -> bool:
    """Tell whether nobody is in the room, by trying to be alone there."""
    with (visitors.folder / "gate" / "room").open() as room:
        try:
            fcntl.flock(room, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
