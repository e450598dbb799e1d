"""`python -m tests.runner [SUITES] [-- PYTEST ...]`: what `make test` runs when all is built."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import docker
import libvirt
from rich.console import Console

from probe import host
from tests.runner import lanes, suites
from tests.runner.suites import Need, Suite
from tests.runner.summary import Outcome, Summary, clock, last_times, read_events
from tests.runner.usage import Usage
from tests.support import ROOT, ledger, record
from tests.support.ledger import FOLDER
from toolchain import accelerator

#: pytest's exit code where no test was chosen.
_NO_TESTS = 5
_POLL_S = 0.5
#: An engine is at work for as long at least.
_NOTICE_S = 3.0
#: It asks the daemons, so it costs something; what lives shorter is small.
_SAMPLE_S = 20.0
_TELL_S = 60.0
#: How long suites that are ended may take to put away what they made.
_GRACE_S = 180.0
_LEAST_FREE_BYTES = 2 * 10**9
#: What is left to others, and for what a run cannot know beforehand.
_SPARE_MEMORY_MIB = 2000


def main(argv: Sequence[str] | None = None) -> int:
    """Run the suites; return 0 if all passed, 5 if no test was chosen, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.runner")
    parser.add_argument("--suites", default="", help="names, separated by commas; all if empty")
    parser.add_argument("--deadline", type=float, help="when it ends by itself (s since 1970)")
    parser.add_argument("--times", type=Path, help="where the suites' durations are kept")
    parser.add_argument("--no-skip", action="store_true", help="services that have not changed too")
    parser.add_argument("pytest", nargs="*", help="arguments for pytest, after --")
    arguments = parser.parse_args(argv)
    try:
        chosen = suites.chosen(arguments.suites)
    except KeyError as error:
        known = ", ".join(suite.name for suite in suites.SUITES)
        parser.error(f"unknown suite {error}: known are {known}")
    if arguments.pytest:
        chosen = tuple(suite for suite in chosen if not suite.is_command)
    run = Run(
        chosen,
        extra=arguments.pytest,
        deadline_s=arguments.deadline,
        times=arguments.times,
        no_skip=arguments.no_skip,
    )
    return run.whole()


class Process:
    """A suite that runs."""

    def __init__(self, suite: Suite, lane: int, began_s: float, argv: list[str]) -> None:
        self.suite = suite
        self.lane = lane
        self.began_s = began_s
        self.log = FOLDER / f"{_file_name(suite)}.log"
        self.record = FOLDER / f"{_file_name(suite)}.jsonl"
        self.record.unlink(missing_ok=True)
        self._measures = suite.measures_first
        environment = {
            **os.environ,
            record.VARIABLE: str(self.record),
            ledger.SUITE_VARIABLE: suite.name,
            "TRIPTYCH_TEST_GATE": str(FOLDER / "gate"),
            "TRIPTYCH_TEST_RUNNER_PID": str(os.getpid()),
            "PYTHONUNBUFFERED": "1",
        }
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(
                argv,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl-C reaches the run alone, which hands it on.
                process_group=0,
            )

    def poll(self) -> tuple[int, float] | None:
        """Return the exit code and the CPU seconds of all its processes, once it has ended."""
        pid, status, usage = os.wait4(self._process.pid, os.WNOHANG)
        if not pid:
            return None
        code = os.waitstatus_to_exitcode(status)
        self._process.returncode = code
        return code, usage.ru_utime + usage.ru_stime

    @property
    def has_the_host(self) -> bool:
        """Whether others have to wait until it has measured what it measures first."""
        if self._measures:
            events = read_events(self.record)
            self._measures = not any(event["event"] == record.MEASURED for event in events)
        return self._measures

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to it and its children."""
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return


def _file_name(suite: Suite) -> str:
    return suite.name.replace(" ", "-")


class Run:
    """All suites, from the first to the summary."""

    def __init__(
        self,
        chosen: Sequence[Suite],
        *,
        extra: Sequence[str] = (),
        deadline_s: float | None = None,
        times: Path | None = None,
        no_skip: bool = False,
    ) -> None:
        self._extra = list(extra)
        self._deadline_s = deadline_s
        self._times = times
        self._no_skip = no_skip
        self._last_s = last_times(times) if times else {}
        self._names = {suite.name for suite in chosen}
        self._waiting = lanes.in_order(chosen, self._last_s)
        self._running: dict[Suite, Process] = {}
        self._outcomes: list[Outcome] = []
        self._usage = Usage()
        self._began_s = time.time()
        self._began_cpu_s = host.cpu_time().busy_s
        self._notes: list[str] = []
        self._stopped = ""
        self._dead: dict[Need, str] = {}
        memory_mib = host.available_bytes() // 2**20 - _SPARE_MEMORY_MIB
        self._cores = len(os.sched_getaffinity(0))
        self._room = lanes.Room(self._cores, memory_mib)
        self._console = Console(width=None if sys.stdout.isatty() else 132, soft_wrap=False)

    def whole(self) -> int:
        """Run everything; return the exit code."""
        FOLDER.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(FOLDER / "gate", ignore_errors=True)
        (FOLDER / "gate").mkdir()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)
        self._put_away("left by an earlier run of the tests")
        about_s = lanes.remaining_s(self._waiting, {}, self._room, self._last_s)
        self._say(f"{len(self._waiting)} suites, about {about_s / 60:.0f} min")
        self._loop()
        self._put_away("left by this run")
        return self._conclude()

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        self._stopped = self._stopped or f"stopped by {signal.Signals(number).name}"

    def _loop(self) -> None:
        noticed_s = sampled_s = told_s = time.monotonic()
        ended_s = 0.0
        while self._running or (self._waiting and not self._stopped):
            now_s = time.monotonic()
            if self._deadline_s and time.time() > self._deadline_s and not self._stopped:
                self._stopped = "the time for all of it was over"
            if self._stopped and not ended_s:
                ended_s = now_s
                self._say(f"{self._stopped}: ending {', '.join(s.name for s in self._running)}")
                self._end_all(signal.SIGINT)
            elif ended_s and now_s - ended_s > _GRACE_S:
                self._end_all(signal.SIGKILL)
            if not self._stopped:
                self._start_what_fits()
            if now_s - noticed_s > _NOTICE_S:
                noticed_s = now_s
                self._usage.notice()
            if now_s - sampled_s > _SAMPLE_S:
                sampled_s = now_s
                self._usage.sample()
            if now_s - told_s > _TELL_S:
                told_s = now_s
                self._tell()
            for process in list(self._running.values()):
                if (ended := process.poll()) is not None:
                    self._ended(process, *ended)
            time.sleep(_POLL_S)
        for suite in self._waiting:
            self._outcomes.append(Outcome(suite.name, "not run", self._stopped))

    def _end_all(self, number: signal.Signals) -> None:
        for process in self._running.values():
            process.signal(number)

    def _start_what_fits(self) -> None:
        while suite := lanes.next_to_start(self._may_start(), self._running, self._room):
            self._waiting.remove(suite)
            if outcome := self._without_running(suite):
                self._outcomes.append(outcome)
                self._say(f"{outcome.state}: {suite.name}: {outcome.why}")
                continue
            taken = {process.lane for process in self._running.values()}
            lane = next(n for n in range(1, 100) if n not in taken)
            last = self._last_s.get(suite.name, suite.usually_s)
            self._say(f"lane {lane}: {suite.name}, about {clock(last)}")
            self._running[suite] = Process(suite, lane, time.time(), self._argv(suite))

    def _may_start(self) -> list[Suite]:
        if any(process.has_the_host for process in self._running.values()):
            return [suite for suite in self._waiting if suite.gives_way]
        return self._waiting

    def _argv(self, suite: Suite) -> list[str]:
        if suite.is_command:
            return [sys.executable, *suite.arguments, *(["--no-skip"] if self._no_skip else [])]
        options = (
            "--live",
            "-p",
            "tests.runner.recorder",
            "-p",
            "no:cacheprovider",
            "--color=no",
            "--tb=short",
        )
        return [
            *(sys.executable, "-m", "pytest", *options),
            *suite.arguments,
            *self._extra,
        ]

    def _without_running(self, suite: Suite) -> Outcome | None:
        """Return what becomes of a suite that is left out or can't run; None if it is to run."""
        if suite.seen_in in self._names and accelerator.detect().kind == "tcg":
            why = f"machines are emulated here; its main part is seen in {suite.seen_in}"
            return Outcome(suite.name, "left out", why)
        if why := self._hindered(suite):
            return Outcome(suite.name, "not run", why)
        return None

    def _hindered(self, suite: Suite) -> str:
        """Return why a suite can't run; empty if it can."""
        for need in sorted(suite.needs):
            if reason := self._dead.get(need) or _ask(need):
                self._dead[need] = reason
                return reason
        for place in (ROOT, *(Path(p) for p in ("/var/lib/docker", "/var/lib/libvirt"))):
            if place.exists() and (free := shutil.disk_usage(place).free) < _LEAST_FREE_BYTES:
                return f"{place} has {free / 1e9:.1f} GB left, {_LEAST_FREE_BYTES / 1e9:.0f} needed"
        return ""

    def _ended(self, process: Process, code: int, cpu_s: float) -> None:
        suite = process.suite
        del self._running[suite]
        self._usage.notice()
        self._usage.sample()
        took_s = time.time() - process.began_s
        outcome = Outcome(
            suite.name,
            "passed" if code in (0, _NO_TESTS) else "failed",
            lane=process.lane,
            began_s=process.began_s - self._began_s,
            took_s=took_s,
            cpu_s=cpu_s,
            deployed_cpu_s=self._usage.deployed_cpu_s.get(suite.name, 0.0),
            events=read_events(process.record),
        )
        if code == _NO_TESTS and not self._extra:
            outcome.state, outcome.why = "failed", "there is no test in it"
        elif self._stopped:
            outcome.state, outcome.why = "unfinished", self._stopped
        elif outcome.state == "failed":
            outcome.why = f"code {code}; log: {process.log}"
        self._outcomes.append(outcome)
        tests = outcome.tests
        told = f"{tests['passed']} passed, {tests['failed']} failed" if tests else outcome.state
        self._say(f"{suite.name}: {told}, {clock(took_s)}")
        if outcome.state != "passed" or suite.is_command:
            self._show(process.log)
        if outcome.state == "failed":
            for need in sorted(set(suite.needs) - self._dead.keys()):
                if reason := _ask(need):
                    self._dead[need] = reason
                    self._say(f"{reason}: what else needs it is not run")

    def _show(self, log: Path) -> None:
        sys.stdout.write(log.read_text(errors="replace"))
        sys.stdout.flush()

    def _tell(self) -> None:
        parts = []
        for suite, process in self._running.items():
            since_s = time.time() - process.began_s
            last_s = self._last_s.get(suite.name, suite.usually_s)
            tests = Outcome(suite.name, "passed", events=read_events(process.record)).tests
            counted = f", {tests.total()} tests" if tests else ""
            parts.append(f"{suite.name} {clock(since_s)} of about {clock(last_s)}{counted}")
        self._say("... " + "; ".join(parts))

    def _say(self, text: str) -> None:
        since_s = int(time.time() - self._began_s)
        print(f"{since_s // 60:3d}:{since_s % 60:02d} {text}", flush=True)

    def _put_away(self, why: str) -> None:
        for name in _remove_abandoned():
            self._notes.append(f"removed {name}, {why}")
            self._say(self._notes[-1])

    def _conclude(self) -> int:
        summary = Summary(
            self._outcomes,
            round(time.time() - self._began_s, 1),
            round(host.cpu_time().busy_s - self._began_cpu_s, 1),
            self._cores,
            self._notes,
        )
        (FOLDER / "summary.json").write_text(json.dumps(summary.to_json(), indent=1) + "\n")
        if self._times and not self._extra and not self._stopped:
            self._remember(self._times)
        summary.print(self._console)
        total = summary.total
        print(f"\n{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped")
        if not all(outcome.is_well for outcome in self._outcomes):
            return 1
        return 0 if total or any(o.state == "passed" for o in self._outcomes) else _NO_TESTS

    def _remember(self, times: Path) -> None:
        found = {**self._last_s}
        found |= {o.suite: o.took_s for o in self._outcomes if o.state == "passed"}
        content = {
            "suites": [{"suite": k, "took_s": v, "state": "passed"} for k, v in found.items()]
        }
        times.parent.mkdir(parents=True, exist_ok=True)
        draft = times.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(content) + "\n")
        draft.replace(times)


def _ask(need: Need) -> str:
    """Return why a daemon can't be used; empty if it answers."""
    try:
        if need == "docker":
            client = docker.from_env(timeout=20)
            client.ping()
            client.close()
        else:
            libvirt.open("qemu:///system").close()
    except (docker.errors.DockerException, libvirt.libvirtError, OSError) as error:
        return f"{'dockerd' if need == 'docker' else 'libvirtd'} does not answer ({error})"
    return ""


def _remove_abandoned() -> list[str]:
    """Take away what processes of earlier runs made that have ended; return the names."""
    if not ledger.abandoned():
        return []
    from tests.contract.harness.shop import LocalShop
    from tests.support import stacks

    return [*stacks.remove_abandoned(), *LocalShop.remove_abandoned()]


if __name__ == "__main__":
    sys.exit(main())
