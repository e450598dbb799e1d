"""`python3 -m toolchain GOAL`: see `docs/toolchain.md`."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from toolchain import (
    accelerator,
    checks,
    clean,
    daemons,
    debian,
    doctor,
    envfile,
    graph,
    push,
    unit_tests,
)
from toolchain.errors import ToolchainError
from toolchain.host import ask_for_sudo
from toolchain.paths import Paths
from toolchain.progress import clock, make_reporter
from toolchain.service_checks import own_steps
from toolchain.steps import Runner, Step

GOALS = {
    "setup": "tools, Debian packages, venv, plugins, daemons",
    "build": "setup, and the images and the guest disks",
    "bench-tools": "build, and what only `make bench` needs",
    "daemons": "start dockerd, libvirtd and the local registry where nothing runs them",
    "stop": "stop the daemons that this toolchain started",
    "doctor": "what this machine has, what is missing, where each tool came from",
    "accelerator": "which accelerator a VM really gets, as JSON",
    "env": "print the shell text of .triptych/env",
    "push": "the images to the registry that is named, for a cluster that exists",
    "unit": "venv, then the unit tests: no daemon, nothing built",
    "lint": "packages, venv, base image, then every linter and each service's own checks",
    "test": "build, every linter, every test",
    "checks": "every linter, each service's own linter and tests, as `test` runs them",
    "clean": "remove what carries our label, and .triptych",
    "clean-cache": "remove the per-user cache",
}
#: Goals whose further words are pytest's.
_PYTEST_GOALS = ("test", "unit")

#: Goals that have services check themselves, and so have something to skip.
CHECKING = ("lint", "test", "checks")


@contextlib.contextmanager
def _one_at_a_time(paths: Paths) -> Iterator[None]:
    """Let only one run change this clone; a second one waits and says so."""
    paths.state.mkdir(parents=True, exist_ok=True)
    with (paths.state / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("waiting for another run of the toolchain in this clone to end", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run_steps(paths: Paths, steps: Sequence[Step], *, deadline_s: float | None = None) -> int:
    """Run steps with progress lines; return the exit code.

    At the deadline (seconds since 1970) what runs is stopped, and named.
    """
    started_s = time.monotonic()
    with _one_at_a_time(paths):
        envfile.write(paths)
        reporter = make_reporter()
        try:
            outcomes = Runner(paths.logs, reporter, deadline_s=deadline_s).run(steps)
        finally:
            reporter.close()
    states = [outcome.state for outcome in outcomes]
    elapsed = clock(time.monotonic() - started_s)
    if "failed" in states:
        names = ", ".join(outcome.name for outcome in outcomes if outcome.state == "failed")
        print(f"triptych: {names} failed", file=sys.stderr)
        return 1
    if "stopped" in states and deadline_s and time.time() >= deadline_s:
        names = ", ".join(o.name for o in outcomes if o.state not in ("present", "done"))
        print(f"triptych: the time for all of it was over; unfinished: {names}", file=sys.stderr)
        return 1
    if "stopped" in states:
        print("triptych: stopped; the same command goes on from here", file=sys.stderr)
        return 130
    print(f"{len(states)} steps, {states.count('present')} already there, {elapsed}")
    return 0


def _needs_root(goal: str) -> bool:
    if os.geteuid() == 0:
        return False
    if goal == "unit":
        return bool(debian.missing(debian.VENV_NEEDS))
    asks = [daemons.ask_libvirt(), daemons.ask_docker()]
    return bool(debian.missing()) or any(answer != "answers" for answer in asks)


def _divided(words: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Return our own words and pytest's: those behind `--`, or a goal's and our options' own."""
    if "--" in words:
        at = list(words).index("--")
        return words[:at], words[at + 1 :]
    if not words or words[0] not in _PYTEST_GOALS:
        return words, ()
    own = 1
    while own < len(words) and words[own] in ("--no-skip", "--suites"):
        own += 1 if words[own] == "--no-skip" else 2
    return words[:own], words[own:]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one goal; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python3 -m toolchain",
        epilog="\n".join(f"  {name:<12} {text}" for name, text in GOALS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("goal", choices=GOALS, metavar="GOAL")
    parser.add_argument(
        "rest", nargs="*", help="arguments for pytest (goals test and unit), registry (push)"
    )
    parser.add_argument(
        "--models", default="", help="for these alone, separated by commas (setup, build)"
    )
    parser.add_argument("--suites", default="", help="these alone, separated by commas (test)")
    parser.add_argument(
        "--no-skip",
        action="store_true",
        help="run the services' checks even if they have passed unchanged (lint, test, checks)",
    )
    words = list(sys.argv[1:] if argv is None else argv)
    own, given = _divided(words)
    arguments = parser.parse_args(own)
    rest = [*arguments.rest, *given]
    if rest and arguments.goal not in (*_PYTEST_GOALS, "push"):
        parser.error(f"unexpected: {' '.join(rest)}")
    if arguments.no_skip and arguments.goal not in CHECKING:
        parser.error(f"--no-skip is for {', '.join(CHECKING)}")
    try:
        return _run(arguments, rest)
    except ToolchainError as error:
        print(f"triptych: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("triptych: stopped", file=sys.stderr)
        return 130
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"triptych: {where}{error.strerror or error}", file=sys.stderr)
        return 1


def _run(arguments: argparse.Namespace, rest: Sequence[str]) -> int:
    goal: str = arguments.goal
    skip = not arguments.no_skip
    paths = Paths.find()
    if goal == "doctor":
        return doctor.doctor(paths)
    if goal == "env":
        print(envfile.render(paths), end="")
        return 0
    if goal == "stop":
        lines = daemons.stop(paths)
        print("\n".join(lines) if lines else "nothing of ours is running")
        return 0
    if goal in ("clean", "clean-cache"):
        removed = clean.clean(paths) if goal == "clean" else clean.clean_cache(paths)
        for one in removed:
            print(f"removed {one.kind} {one.name}")
        if not removed:
            print("nothing of ours was there")
        return 0
    if goal == "push":
        return run_steps(paths, push.push_steps(paths, " ".join(rest)))
    if _needs_root(goal):
        ask_for_sudo()
    if goal == "accelerator":
        if accelerator.guest_kernel(paths) is None and (
            code := run_steps(paths, graph.steps_for(paths, goal))
        ):
            return code
        print(json.dumps(asdict(accelerator.detect(paths))))
        return 0
    if goal == "unit":
        return run_steps(paths, graph.unit_steps(paths)) or unit_tests.run(paths, rest)
    if goal == "lint":
        own = own_steps(paths, tests=False, skip=skip)
        return run_steps(paths, [*graph.lint_steps(paths), *checks.lint_steps(paths), *own])
    if goal == "checks":
        own = own_steps(paths, tests=True, skip=skip)
        steps = [*graph.check_steps(paths), *checks.lint_steps(paths), *own]
        return run_steps(paths, steps)
    if goal == "test":
        steps = [*graph.build_steps(paths, tested=True), *graph.test_steps(paths)]
        return run_steps(paths, steps, deadline_s=checks.deadline_s(os.environ)) or (
            checks.run_tests(paths, rest, suites=arguments.suites, no_skip=not skip)
        )
    return run_steps(paths, graph.steps_for(paths, goal, arguments.models))


if __name__ == "__main__":
    sys.exit(main())
