"""A gate between processes: ordinary work goes beside other work, what measures the host alone.

Two files are locked with flock, in the directory that TRIPTYCH_TEST_GATE names; without it the gate
stands open. Everybody comes in through the turnstile, one at a time, and on into the room: shared
for ordinary work, exclusively to be alone. Who waits to be alone stays in the turnstile until the
room is empty, so those who come later wait behind, however many they are. The kernel lets go of
what a process holds when it ends, in whatever way it ends.

A hold is the thread's that took it: two threads exclude each other as two processes do, and what a
thread asks for while it has it, or more, it has already. A forked child holds nothing. A thread
that waits for another process, which comes through the gate itself, steps aside meanwhile.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from enum import Enum
from pathlib import Path
from typing import Final

#: The directory with the lock files; not set or empty: no gate.
VARIABLE: Final = "TRIPTYCH_TEST_GATE"


class _Hold(Enum):
    """How a thread may be in the room."""

    NONE = fcntl.LOCK_UN
    SHARED = fcntl.LOCK_SH
    ALONE = fcntl.LOCK_EX


class _Mine(threading.local):
    """What this thread holds in each room: the descriptor that has the lock, and how."""

    def __init__(self) -> None:
        self.rooms: dict[Path, tuple[int, _Hold]] = {}


_mine = _Mine()
#: Every descriptor of this process that has a lock or waits for one.
_descriptors: set[int] = set()


def _forget() -> None:
    """Let go in a forked child, by closing alone: unlocking would unlock for the parent as well."""
    for descriptor in _descriptors:
        os.close(descriptor)
    _descriptors.clear()
    _mine.rooms.clear()


os.register_at_fork(after_in_child=_forget)


class Gate:
    """The gate whose files are in a directory; open to all at once where there is none."""

    def __init__(self, folder: Path | None) -> None:
        self._room: Path | None = None
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self._room = folder.resolve() / "room"
            self._turnstile = folder.resolve() / "turnstile"

    @classmethod
    def find(cls, environment: Mapping[str, str] = os.environ) -> Gate:
        """Return the gate that the environment names."""
        folder = environment.get(VARIABLE)
        return cls(Path(folder) if folder else None)

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Wait until nobody is, or waits to be, alone; keep who wants to be alone out meanwhile."""
        with self._held(_Hold.SHARED if self._holds is _Hold.NONE else self._holds):
            yield

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until nobody else is in the room, and keep everybody out meanwhile.

        What the thread holds beside others it gives up first, and has it again afterwards.
        """
        with self._held(_Hold.ALONE):
            yield

    @contextmanager
    def stepped_aside(self) -> Iterator[None]:
        """Give up what the thread holds beside others, and take it again afterwards.

        Raise RuntimeError if it is alone: whatever it measures would be measured no longer.
        """
        if self._holds is _Hold.ALONE:
            raise RuntimeError("what has the host to itself does not step aside")
        with self._held(_Hold.NONE):
            yield

    @property
    def _holds(self) -> _Hold:
        return _mine.rooms[self._room][1] if self._room in _mine.rooms else _Hold.NONE

    @contextmanager
    def _held(self, how: _Hold) -> Iterator[None]:
        before = self._holds
        self._change(how)
        try:
            yield
        finally:
            self._change(before)

    def _change(self, how: _Hold) -> None:
        room = self._room
        if room is None or how is self._holds:
            return
        if room in _mine.rooms:
            _let_go(_mine.rooms.pop(room)[0])
        if how is _Hold.NONE:
            return
        turnstile = _lock(self._turnstile, _Hold.ALONE)
        try:
            _mine.rooms[room] = _lock(room, how), how
        finally:
            _let_go(turnstile)


def _lock(path: Path, how: _Hold) -> int:
    """Wait for a lock; return the descriptor that has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    _descriptors.add(descriptor)
    try:
        fcntl.flock(descriptor, how.value)
    except BaseException:
        _let_go(descriptor)
        raise
    return descriptor


def _let_go(descriptor: int) -> None:
    # A child that is about to become another program has the descriptor for a moment more.
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    _descriptors.discard(descriptor)
    os.close(descriptor)


@contextmanager
def beside() -> Iterator[None]:
    """Be beside others at the environment's gate."""
    with Gate.find().beside():
        yield


@asynccontextmanager
async def beside_others() -> AsyncIterator[None]:
    """Be beside others at the environment's gate, in a coroutine: a thread holds it meanwhile."""
    if not os.environ.get(VARIABLE):
        yield
        return
    loop = asyncio.get_running_loop()
    entered: asyncio.Future[None] = loop.create_future()
    leave = threading.Event()

    def hold() -> None:
        with beside():
            loop.call_soon_threadsafe(entered.set_result, None)
            leave.wait()

    holding = loop.run_in_executor(None, hold)
    try:
        await asyncio.wait((entered, holding), return_when=asyncio.FIRST_COMPLETED)
        yield
    finally:
        leave.set()
        await holding


@contextmanager
def alone() -> Iterator[None]:
    """Be alone at the environment's gate."""
    with Gate.find().alone():
        yield


@contextmanager
def stepped_aside() -> Iterator[None]:
    """Let others be alone at the environment's gate meanwhile."""
    with Gate.find().stepped_aside():
        yield
