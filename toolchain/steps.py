"""A small graph of steps, run in parallel, with a progress line for each.

How another package plugs in: it has a function `steps(paths: Paths) -> Sequence[Step]`. A step's
`run` is a coroutine that gets a `StepContext`; it starts commands with `await context.run(...)`,
which sends their output to the step's log and ends them when the user presses Ctrl-C. Blocking
Python goes through `await context.thread(function, ...)`. `is_done` is asked first (in a thread,
after everything in `needs` is there): true, or a text to show, means that nothing has to be done.
So a step is resumable if it writes to a temporary name, renames it as its last act, and `is_done`
looks for the final name or for a stamp (see `files.py`) of the inputs.

    Step(
        name="base-image",
        needs=("dockerd",),
        detail="triptych/base from Debian trixie",
        run=build_base,                      # async def build_base(context: StepContext) -> None
        is_done=lambda: base_is_there(paths),
    )
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal, ParamSpec, Protocol, TypeVar

from toolchain import gate
from toolchain.errors import ToolchainError
from toolchain.files import write_text
from toolchain.host import become_root

P = ParamSpec("P")
T = TypeVar("T")

State = Literal["present", "done", "failed", "stopped", "not run"]

KILL_AFTER_S = 8.0


class StepError(ToolchainError):
    """A step failed; `message` is the one line the user sees above the log's last lines."""


@dataclass(frozen=True)
class Step:
    """One thing to have: a tool, a package set, a daemon, an image.

    `needs` names the steps that have to be there before. `lock` names something that only one step
    at a time may use (`apt`). A `heavy` step keeps a core or more busy: of these only a few run at
    once. Neither `run` nor `is_done` may depend on which other steps run.
    """

    name: str
    run: Callable[[StepContext], Awaitable[None]]
    needs: tuple[str, ...] = ()
    is_done: Callable[[], bool | str] = lambda: False
    detail: str = ""
    lock: str | None = None
    heavy: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of one step; `elapsed_s` is wall-clock time."""

    name: str
    state: State
    detail: str
    elapsed_s: float
    log: Path
    error: str = ""


class Reporter(Protocol):
    """Shows progress; `plain` and `live` implementations are in `progress.py`."""

    def started(self, name: str, detail: str, last_s: float | None) -> None:
        """Say that a step began; `last_s` is how long it took last time."""

    def changed(self, name: str, detail: str) -> None:
        """Take a step's new description."""

    def ended(self, outcome: Outcome) -> None:
        """Say how a step ended."""

    def note(self, text: str) -> None:
        """Show one line that belongs to no step."""


class StepContext:
    """What a running step may use."""

    def __init__(self, step: Step, log_path: Path, log: IO[bytes], reporter: Reporter) -> None:
        self.step = step
        self.log_path = log_path
        self.detail = step.detail
        self._log = log
        self._reporter = reporter

    def say(self, detail: str) -> None:
        """Change the text beside the step's name, also the one that stays at the end."""
        self.conclude(detail)
        self._reporter.changed(self.step.name, detail)

    def conclude(self, detail: str) -> None:
        """Set the text that stays at the end; for a step about to end."""
        self.detail = detail
        self.log(detail)

    def log(self, text: str) -> None:
        """Write one line to the step's log."""
        self._log.write(text.encode() + b"\n")
        self._log.flush()

    def written(self) -> str:
        """Return what is in the step's log of this run, whoever has a log of that name by now."""
        return Path(f"/proc/self/fd/{self._log.fileno()}").read_bytes().decode(errors="replace")

    async def thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run blocking Python code in a thread and return its result."""
        return await asyncio.to_thread(function, *args, **kwargs)

    async def run(
        self,
        *argv: str | Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
        check: bool = True,
        timeout_s: float | None = None,
    ) -> int:
        """Run a command with its output in the log; return its exit code.

        `env` is added to our own environment. Raises StepError if it can't be started, exceeds
        `timeout_s`, or (with `check`) fails.
        """
        code, _ = await self._spawn(argv, cwd, env, stdin, check, timeout_s, capture=False)
        return code

    async def output(
        self,
        *argv: str | Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
        check: bool = True,
        timeout_s: float | None = None,
    ) -> str:
        """Like `run`, but return what the command wrote to stdout (stderr goes to the log)."""
        _, out = await self._spawn(argv, cwd, env, stdin, check, timeout_s, capture=True)
        return out.decode(errors="replace")

    async def _spawn(
        self,
        argv: Sequence[str | Path],
        cwd: Path | None,
        env: Mapping[str, str] | None,
        stdin: bytes | None,
        check: bool,
        timeout_s: float | None,
        *,
        capture: bool,
    ) -> tuple[int, bytes]:
        words = [str(word) for word in argv]
        self.log("$ " + " ".join(words))
        pipe = asyncio.subprocess.PIPE
        try:
            # A process group of its own: the terminal's Ctrl-C reaches us alone and we end the
            # group; the same session, so that sudo still knows this terminal.
            process = await asyncio.create_subprocess_exec(
                *words,
                cwd=cwd,
                env={**os.environ, **(env or {})},
                stdin=pipe if stdin is not None else asyncio.subprocess.DEVNULL,
                stdout=pipe if capture else self._log,
                stderr=self._log,
                process_group=0,
            )
        except OSError as error:
            raise StepError(f"cannot run {words[0]}", error.strerror or str(error)) from error
        try:
            async with asyncio.timeout(timeout_s):
                out, _ = await process.communicate(stdin)
        except TimeoutError as error:
            await _end(process)
            raise StepError(f"{words[0]} did not end within {timeout_s:.0f} s") from error
        except asyncio.CancelledError:
            await _end(process)
            raise
        code = process.returncode or 0
        if code and check:
            raise StepError(f"{Path(words[0]).name} exited with {code}")
        return code, out or b""


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a command and its children: ask first, then kill."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            pass
        except PermissionError:
            # It runs as root by sudo, which hands the signal on. The shell has a kill everywhere.
            await asyncio.to_thread(_kill_as_root, process.pid, number)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), KILL_AFTER_S)
            return


class Turns:
    """Lets a bounded number in at once; of those who wait, whoever is first in the list."""

    def __init__(self, bound: int) -> None:
        self._free = bound
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    @contextlib.asynccontextmanager
    async def turn(self, rank: int) -> AsyncIterator[None]:
        """Wait for a turn and keep it; no two may wait with the same rank."""
        if self._free:
            self._free -= 1
        else:
            future = asyncio.get_running_loop().create_future()
            heapq.heappush(self._waiting, (rank, future))
            try:
                await future
            except asyncio.CancelledError:
                if future.done() and not future.cancelled():
                    self._pass_on()
                raise
        try:
            yield
        finally:
            self._pass_on()

    def _pass_on(self) -> None:
        while self._waiting:
            _, future = heapq.heappop(self._waiting)
            if not future.done():
                future.set_result(None)
                return
        self._free += 1


def _kill_as_root(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ToolchainError, OSError):
        argv = [*become_root(), "sh", "-c", f"kill -{number.value} -- -{group}"]
        subprocess.run(argv, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


@dataclass
class Runner:
    """Runs steps in parallel as their needs allow.

    `logs` is where each step's log and `durations.json` go; `parallel` and `heavy` bound how many
    light and heavy steps run at once. Of those that wait, the first in the list starts first.
    """

    logs: Path
    reporter: Reporter
    parallel: int = field(default_factory=lambda: max(8, 2 * (os.cpu_count() or 1)))
    heavy: int = field(default_factory=lambda: max(2, os.cpu_count() or 1))
    #: When all has to have ended (seconds since 1970): what runs then is stopped, as by SIGTERM.
    deadline_s: float | None = None

    def run(self, steps: Iterable[Step]) -> list[Outcome]:
        """Run the steps and return their outcomes in the order given.

        After a failure nothing new starts and what runs is left to end. SIGINT and SIGTERM end what
        runs; those steps come back as `stopped`. Raises ToolchainError if the graph is not one.
        """
        ordered = check_graph(steps)
        self.logs.mkdir(parents=True, exist_ok=True)
        return asyncio.run(self._run(ordered))

    async def _run(self, steps: Sequence[Step]) -> list[Outcome]:
        loop = asyncio.get_running_loop()
        light, heavy = Turns(self.parallel), Turns(self.heavy)
        locks = {step.lock: asyncio.Lock() for step in steps if step.lock}
        ended = {step.name: asyncio.Event() for step in steps}
        outcomes: dict[str, Outcome] = {}
        failed = asyncio.Event()
        durations = self._durations()

        async def one(rank: int, step: Step) -> None:
            log_path = self.logs / f"{step.name}.log"
            started_s = time.monotonic()
            outcome = Outcome(step.name, "not run", step.detail, 0.0, log_path)
            try:
                for need in step.needs:
                    await ended[need].wait()
                broken = any(outcomes[need].state not in ("present", "done") for need in step.needs)
                async with contextlib.AsyncExitStack() as stack:
                    if step.lock:
                        await stack.enter_async_context(locks[step.lock])
                    async with light.turn(rank):
                        if broken or failed.is_set():
                            return
                        started_s = time.monotonic()
                        there = await self._is_there(step, log_path)
                    if there is not None:
                        outcome = there
                        return
                    # Not while it waits for its turn: what is quick is not to wait behind it.
                    async with (heavy if step.heavy else light).turn(rank):
                        if failed.is_set():
                            return
                        started_s = time.monotonic()
                        outcome = await self._make(step, log_path, durations)
            except asyncio.CancelledError:
                elapsed_s = time.monotonic() - started_s
                outcome = Outcome(step.name, "stopped", step.detail, elapsed_s, log_path)
            finally:
                outcomes[step.name] = outcome
                ended[step.name].set()
                if outcome.state == "failed":
                    failed.set()
                if outcome.state != "not run":
                    self.reporter.ended(outcome)

        tasks = [
            asyncio.create_task(one(rank, step), name=step.name) for rank, step in enumerate(steps)
        ]

        def stop() -> None:
            for task in tasks:
                task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                loop.add_signal_handler(number, stop)
        if self.deadline_s is not None:
            loop.call_later(max(0.0, self.deadline_s - time.time()), stop)
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        self._remember(durations, outcomes.values())
        for end in ends:
            if isinstance(end, Exception):
                raise end  # A defect of a step, not its failure.
        # A task cancelled before its first turn never reached its `finally`.
        return [
            outcomes.get(
                step.name,
                Outcome(step.name, "stopped", step.detail, 0.0, self.logs / f"{step.name}.log"),
            )
            for step in steps
        ]

    async def _is_there(self, step: Step, log_path: Path) -> Outcome | None:
        """Ask whether there is anything to do; return the outcome if not, or if asking failed."""
        started_s = time.monotonic()
        with _new_log(log_path) as log:
            context = StepContext(step, log_path, log, self.reporter)
            state, error = await _attempt(context, _ask(context))
        if state == "not run":
            return None
        elapsed_s = time.monotonic() - started_s
        return Outcome(step.name, state, context.detail, elapsed_s, log_path, error)

    async def _make(self, step: Step, log_path: Path, durations: Mapping[str, float]) -> Outcome:
        started_s = time.monotonic()
        self.reporter.started(step.name, step.detail, durations.get(step.name))
        with _new_log(log_path) as log:
            context = StepContext(step, log_path, log, self.reporter)
            async with gate.beside_others():
                state, error = await _attempt(context, _run(context))
        elapsed_s = time.monotonic() - started_s
        return Outcome(step.name, state, context.detail, elapsed_s, log_path, error)

    def _durations(self) -> dict[str, float]:
        try:
            raw: Any = json.loads((self.logs / "durations.json").read_text())
            return {str(name): float(value) for name, value in raw.items()}
        except (OSError, ValueError, AttributeError, TypeError):
            return {}

    def _remember(self, durations: dict[str, float], outcomes: Iterable[Outcome]) -> None:
        took = {o.name: round(o.elapsed_s, 1) for o in outcomes if o.state == "done"}
        if took:
            with contextlib.suppress(OSError):
                write_text(self.logs / "durations.json", json.dumps({**durations, **took}))


def _new_log(path: Path) -> IO[bytes]:
    """Open a log of one run's own: another clone's run of the step goes on writing to the old."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(descriptor)
    fresh = Path(name)
    fresh.chmod(0o644)
    log = fresh.open("ab")
    fresh.replace(path)
    return log


async def _ask(context: StepContext) -> State:
    there = await asyncio.to_thread(context.step.is_done)
    if not there:
        return "not run"
    context.detail = there if isinstance(there, str) else context.step.detail
    context.log(f"present: {context.detail}")
    return "present"


async def _run(context: StepContext) -> State:
    await context.step.run(context)
    return "done"


async def _attempt(context: StepContext, doing: Awaitable[State]) -> tuple[State, str]:
    """Return the state that it ends in; a failure that has words for the user is `failed`."""
    try:
        return await doing, ""
    except ToolchainError as error:
        reason = str(error)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        reason = f"{where}{error.strerror or error}"
    context.log(f"failed: {reason}")
    return "failed", reason


def check_graph(steps: Iterable[Step]) -> list[Step]:
    """Return the steps as a list; raise ToolchainError on a double name, unknown need or cycle."""
    ordered = list(steps)
    by_name = {step.name: step for step in ordered}
    if len(by_name) != len(ordered):
        raise ToolchainError("two steps have the same name")
    for step in ordered:
        for need in step.needs:
            if need not in by_name:
                raise ToolchainError(f"step {step.name} needs {need}, which is no step")
    seen: dict[str, bool] = {}

    def visit(name: str) -> None:
        if seen.get(name):
            return
        if name in seen:
            raise ToolchainError(f"steps need each other in a circle, through {name}")
        seen[name] = False
        for need in by_name[name].needs:
            visit(need)
        seen[name] = True

    for step in ordered:
        visit(step.name)
    return ordered


def closure(steps: Sequence[Step], wanted: Iterable[str]) -> list[Step]:
    """Return the wanted steps and all they need, in the order of `steps`."""
    by_name = {step.name: step for step in steps}
    keep: set[str] = set()
    todo = list(wanted)
    while todo:
        name = todo.pop()
        if name not in keep:
            keep.add(name)
            todo.extend(by_name[name].needs)
    return [step for step in steps if step.name in keep]


def last_lines(path: Path, count: int = 15) -> list[str]:
    """Return the last lines of a log, none if it can't be read."""
    try:
        with path.open("rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(0, log.tell() - 65536))
            text = log.read().decode(errors="replace")
    except OSError:
        return []
    return [line.rsplit("\r", 1)[-1] for line in text.rstrip().splitlines()][-count:]
