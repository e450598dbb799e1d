"""The runner: order, parallelism, failure, resuming, Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.steps import nothing
from toolchain.errors import ToolchainError
from toolchain.progress import Terminal, clock
from toolchain.steps import (
    Outcome,
    Runner,
    Step,
    StepContext,
    StepError,
    Turns,
    closure,
    last_lines,
)


class Recorder:
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def started(self, name: str, detail: str, last_s: float | None) -> None:
        self.lines.append(f"start {name} {last_s}")

    def changed(self, name: str, detail: str) -> None:
        self.lines.append(f"say {name} {detail}")

    def ended(self, outcome: Outcome) -> None:
        self.lines.append(f"end {outcome.name} {outcome.state}")

    def note(self, text: str) -> None:
        self.lines.append(text)


def run(tmp_path: Path, *steps: Step, parallel: int = 8) -> tuple[dict[str, Outcome], Recorder]:
    recorder = Recorder()
    outcomes = Runner(tmp_path / "logs", recorder, parallel).run(steps)
    return {outcome.name: outcome for outcome in outcomes}, recorder


def states(outcomes: dict[str, Outcome]) -> dict[str, str]:
    return {name: outcome.state for name, outcome in outcomes.items()}


def test_independent_steps_run_at_the_same_time(tmp_path: Path) -> None:
    here = {"a": asyncio.Event(), "b": asyncio.Event()}

    def meet(mine: str, other: str) -> Step:
        async def run_(context: StepContext) -> None:
            here[mine].set()
            await asyncio.wait_for(here[other].wait(), 5)

        return Step(mine, run_)

    outcomes, _ = run(tmp_path, meet("a", "b"), meet("b", "a"))
    assert states(outcomes) == {"a": "done", "b": "done"}


def test_needs_come_first_and_parallel_is_a_bound(tmp_path: Path) -> None:
    active: list[str] = []
    most = 0
    order: list[str] = []

    def step(name: str, *needs: str) -> Step:
        async def run_(context: StepContext) -> None:
            nonlocal most
            active.append(name)
            most = max(most, len(active))
            await asyncio.sleep(0.02)
            active.remove(name)
            order.append(name)

        return Step(name, run_, needs)

    run(tmp_path, step("d", "b", "c"), step("b", "a"), step("c", "a"), step("a"), parallel=2)
    assert order[0] == "a"
    assert order[-1] == "d"
    assert most == 2


def test_waiting_steps_take_no_slot(tmp_path: Path) -> None:
    steps = [Step(f"s{n}", nothing, (f"s{n + 1}",)) for n in range(5)]
    outcomes, _ = run(tmp_path, *steps, Step("s5", nothing), parallel=1)
    assert set(states(outcomes).values()) == {"done"}


def test_of_heavy_steps_only_a_few_run_at_once(tmp_path: Path) -> None:
    active = most = 0
    go_on = asyncio.Event()

    async def work(context: StepContext) -> None:
        nonlocal active, most
        active += 1
        most = max(most, active)
        await asyncio.wait_for(go_on.wait(), 5)
        active -= 1

    async def let_go(context: StepContext) -> None:
        # A light step is not held up by heavy ones that wait, however many they are.
        while active < 2:
            await asyncio.sleep(0.01)
        go_on.set()

    steps = [*(Step(f"h{n}", work, heavy=True) for n in range(6)), Step("light", let_go)]
    outcomes = Runner(tmp_path / "logs", Recorder(), parallel=3, heavy=2).run(steps)
    assert {outcome.state for outcome in outcomes} == {"done"}
    assert most == 2


async def test_of_those_that_wait_the_first_in_the_list_is_next() -> None:
    turns = Turns(1)
    order: list[int] = []

    async def one(rank: int) -> None:
        async with turns.turn(rank):
            order.append(rank)

    async with turns.turn(0):
        waiting = {rank: asyncio.create_task(one(rank)) for rank in (4, 1, 3, 2)}
        await asyncio.sleep(0)
        waiting[1].cancel()
    await asyncio.gather(*waiting.values(), return_exceptions=True)
    assert order == [2, 3, 4]
    await one(5)
    assert order[-1] == 5


def test_a_present_heavy_step_waits_for_no_turn(tmp_path: Path) -> None:
    here = asyncio.Event()

    async def work(context: StepContext) -> None:
        await asyncio.wait_for(here.wait(), 5)

    async def tell(context: StepContext) -> None:
        here.set()

    steps = [
        Step("busy", work, heavy=True),
        Step("there", work, is_done=lambda: True, heavy=True),
        Step("next", tell, ("there",)),
    ]
    outcomes = Runner(tmp_path / "logs", Recorder(), heavy=1).run(steps)
    assert [outcome.state for outcome in outcomes] == ["done", "present", "done"]


def test_after_a_failure_a_waiting_heavy_step_does_not_start(tmp_path: Path) -> None:
    async def fail(context: StepContext) -> None:
        await asyncio.sleep(0.05)
        raise StepError("broken")

    steps = [Step("bad", fail, heavy=True), Step("next", nothing, heavy=True)]
    outcomes = Runner(tmp_path / "logs", Recorder(), heavy=1).run(steps)
    assert [outcome.state for outcome in outcomes] == ["failed", "not run"]


def test_a_defect_of_a_step_is_not_taken_for_an_end(tmp_path: Path) -> None:
    async def defect(context: StepContext) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(tmp_path, Step("one", defect), Step("other", nothing))


def test_a_lock_keeps_steps_apart(tmp_path: Path) -> None:
    inside = 0

    async def alone(context: StepContext) -> None:
        nonlocal inside
        inside += 1
        assert inside == 1
        await asyncio.sleep(0.02)
        inside -= 1

    outcomes, _ = run(
        tmp_path, *(Step(name, alone, lock="apt") for name in "abc"), Step("d", nothing)
    )
    assert set(states(outcomes).values()) == {"done"}


def test_a_failure_stops_what_needs_it_and_lets_the_running_end(tmp_path: Path) -> None:
    async def fail(context: StepContext) -> None:
        await context.run("sh", "-c", "echo before; echo the reason >&2; exit 3")

    async def slow(context: StepContext) -> None:
        await asyncio.sleep(0.3)

    outcomes, recorder = run(
        tmp_path,
        Step("bad", fail),
        Step("slow", slow),
        Step("needs-bad", nothing, ("bad",)),
        Step("needs-slow", nothing, ("slow",)),
    )
    assert states(outcomes) == {
        "bad": "failed",
        "slow": "done",
        "needs-bad": "not run",
        "needs-slow": "not run",
    }
    assert outcomes["bad"].error == "sh exited with 3"
    assert "the reason" in last_lines(outcomes["bad"].log)
    assert "end needs-bad not run" not in recorder.lines


def test_a_killed_or_failed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    made = tmp_path / "made"
    allow = tmp_path / "allow"
    runs: list[str] = []

    async def make(context: StepContext) -> None:
        runs.append("make")
        made.touch()

    async def second(context: StepContext) -> None:
        runs.append("second")
        if not allow.exists():
            raise StepError("not yet")

    steps = (
        Step("make", make, is_done=made.exists),
        Step("second", second, ("make",)),
    )
    first, _ = run(tmp_path, *steps)
    allow.touch()
    again, _ = run(tmp_path, *steps)
    assert states(first) == {"make": "done", "second": "failed"}
    assert states(again) == {"make": "present", "second": "done"}
    assert runs == ["make", "second", "second"]


def test_is_done_may_say_what_is_there(tmp_path: Path) -> None:
    outcomes, recorder = run(tmp_path, Step("tool", nothing, is_done=lambda: "1.2, on PATH"))
    assert outcomes["tool"].detail == "1.2, on PATH"
    assert recorder.lines == ["end tool present"]


def test_the_next_run_knows_how_long_it_took(tmp_path: Path) -> None:
    run(tmp_path, Step("a", nothing))
    assert json.loads((tmp_path / "logs" / "durations.json").read_text()) == {"a": 0.0}
    _, recorder = run(tmp_path, Step("a", nothing))
    assert "start a 0.0" in recorder.lines


def test_a_damaged_record_of_durations_is_no_matter(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "durations.json").write_text("[")
    outcomes, _ = run(tmp_path, Step("a", nothing))
    assert outcomes["a"].state == "done"


def test_commands_get_input_and_environment_and_give_output(tmp_path: Path) -> None:
    got: list[str] = []

    async def talk(context: StepContext) -> None:
        got.append(await context.output("sh", "-c", "cat; echo $X", env={"X": "1"}, stdin=b"in "))
        assert await context.run("sh", "-c", "exit 4", check=False) == 4

    outcomes, _ = run(tmp_path, Step("talk", talk))
    assert outcomes["talk"].state == "done"
    assert got == ["in 1\n"]


@pytest.mark.parametrize(
    ("argv", "timeout_s", "message"),
    [
        (("no-such-command",), None, "cannot run no-such-command: No such file or directory"),
        (("sleep", "30"), 0.2, "sleep did not end within 0 s"),
        (("false",), None, "false exited with 1"),
    ],
)
def test_commands_that_fail(
    tmp_path: Path, argv: tuple[str, ...], timeout_s: float | None, message: str
) -> None:
    async def fail(context: StepContext) -> None:
        await context.run(*argv, timeout_s=timeout_s)

    outcomes, _ = run(tmp_path, Step("fail", fail))
    assert outcomes["fail"].error == message


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([Step("a", nothing), Step("a", nothing)], "same name"),
        ([Step("a", nothing, ("b",))], "needs b, which is no step"),
        ([Step("a", nothing, ("b",)), Step("b", nothing, ("a",))], "in a circle"),
    ],
)
def test_what_is_no_graph_is_refused(tmp_path: Path, steps: list[Step], message: str) -> None:
    with pytest.raises(ToolchainError, match=message):
        run(tmp_path, *steps)


def test_closure_keeps_order() -> None:
    steps = [Step("a", nothing), Step("b", nothing, ("a",)), Step("c", nothing)]
    assert [step.name for step in closure(steps, ["b"])] == ["a", "b"]


def living_members(group: int) -> list[str]:
    """Return the processes of a group, those already dead and only not yet reaped left out."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, process_group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(process_group) == group and state != "Z":
                found.append(stat.parent.name)
    return found


def test_ctrl_c_is_quiet_ends_children_and_names_the_way_on(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(
            f"""
            import sys
            from pathlib import Path
            from toolchain.__main__ import run_steps
            from toolchain.paths import Paths
            from toolchain.steps import Step

            base = Path({str(tmp_path)!r})

            async def long(context):
                await context.run("sh", "-c", "echo $$ > pid; sleep 300 & wait", cwd=base)

            paths = Paths(root=base, cache=base / "cache", run=base / "run")
            sys.exit(run_steps(paths, [Step("long", long), Step("after", long, ("long",))]))
            """
        )
    )
    process = subprocess.Popen(
        [sys.executable, str(program)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    pid_file = tmp_path / "pid"
    give_up_s = time.monotonic() + 20
    while not (pid_file.exists() and pid_file.read_text().strip()):
        assert time.monotonic() < give_up_s
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert err == "triptych: stopped; the same command goes on from here\n"
    assert "Traceback" not in out
    assert living_members(int(pid_file.read_text())) == []


def test_plain_progress_is_a_line_per_change(tmp_path: Path) -> None:
    out = io.StringIO()
    terminal = Terminal(out, live=False)
    log = tmp_path / "x.log"
    log.write_text("one\ntwo\n")
    terminal.started("tool", "1.2, built", 352.0)
    terminal.ended(Outcome("tool", "done", "1.2, built", 61.4, log))
    terminal.ended(Outcome("other", "failed", "", 1.0, log, error="it broke"))
    terminal.close()
    assert out.getvalue().splitlines() == [
        "  tool               1.2, built (last time 5m52s)",
        "+ tool               1.2, built  1m01s",
        "x other              it broke  1.0 s",
        "    | one",
        "    | two",
        f"    | whole log: {log}",
    ]


def test_live_progress_redraws_the_running_ones(tmp_path: Path) -> None:
    out = io.StringIO()
    terminal = Terminal(out, live=True)
    terminal.started("a", "first", None)
    terminal.started("b", "second", 3.0)
    terminal.ended(Outcome("a", "done", "first", 1.0, tmp_path / "log"))
    terminal.close()
    assert "\x1b[1A\x1b[J" in out.getvalue()
    assert "+ a                  first  1.0 s\n" in out.getvalue()
    assert out.getvalue().endswith("\x1b[1A\x1b[J")


def test_clock() -> None:
    assert [clock(value) for value in (0.04, 7.44, 59.9, 60, 3600)] == [
        "0.0 s",
        "7.4 s",
        "59.9 s",
        "1m00s",
        "60m00s",
    ]
