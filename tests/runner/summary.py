"""What a run ends with: where the time went, what was slow, repeated, not run, and what failed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from tests.quiet.plugin import PROPERTY, REPEATED
from tests.quiet.pressure import Pressure

State = Literal["passed", "failed", "not run", "unfinished", "left out"]
SLOWEST = 20


@dataclass
class Outcome:
    """What became of one suite. CPU is its processes' own, and its containers' and machines'."""

    suite: str
    state: State
    why: str = ""
    lane: int = 0
    began_s: float = 0.0
    took_s: float = 0.0
    cpu_s: float = 0.0
    deployed_cpu_s: float = 0.0
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def is_well(self) -> bool:
        """Whether it passed, or was left out as another one shows what it is about."""
        return self.state in ("passed", "left out")

    def _last_tries(self) -> dict[str, list[dict[str, Any]]]:
        """Return the reports by test; of one that was repeated those of its last try."""
        found: dict[str, list[dict[str, Any]]] = {}
        for event in self.events:
            if event["event"] == "test":
                if event["phase"] == "setup":
                    found[event["name"]] = []
                found.setdefault(event["name"], []).append(event)
        return found

    @property
    def tests(self) -> Counter[str]:
        """Return how many tests ended how: passed, failed, skipped."""
        found: Counter[str] = Counter()
        for reports in self._last_tries().values():
            outcomes = {report["outcome"] for report in reports}
            found[next((o for o in ("failed", "skipped") if o in outcomes), "passed")] += 1
        return found

    @property
    def deployments(self) -> int:
        """Return how many shops were deployed where there was none before."""
        return sum(event["count"] for event in self.events if event["event"] == "deployed")

    def durations(self) -> dict[str, float]:
        """Return seconds by test, with what was set up for it."""
        found: dict[str, float] = {}
        for event in self.events:
            if event["event"] == "test":
                found[event["name"]] = found.get(event["name"], 0.0) + event["took_s"]
        return found

    def repeated(self) -> list[dict[str, Any]]:
        """Return the reports of calls that did not count, as others starved the host."""
        return [e for e in self.events if e["event"] == "test" and e["outcome"] == REPEATED]

    def failed(self) -> set[str]:
        """Return the tests that failed."""
        return {report["name"] for report in self.reports("failed")}

    def reports(self, outcome: str) -> list[dict[str, Any]]:
        """Return the reports with this outcome, of last tries."""
        tries = self._last_tries().values()
        return [report for reports in tries for report in reports if report["outcome"] == outcome]


def read_events(path: Path) -> list[dict[str, Any]]:
    """Return a suite's record; a line that was cut off counts as none."""
    found = []
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return []
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and "event" in event:
            found.append(event)
    return found


@dataclass(frozen=True)
class Summary:
    """A whole run."""

    outcomes: Sequence[Outcome]
    took_s: float
    #: CPU of the whole host, and what of it was anybody's but the tests'.
    host_cpu_s: float
    cores: int
    notes: Sequence[str] = ()

    def print(self, console: Console) -> None:
        """Print all tables, the failures last."""
        console.print(self._suites(), self._slowest())
        for line in self._repeated():
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        for outcome in self.outcomes:
            if outcome.state in ("not run", "unfinished", "left out"):
                console.print(
                    f"{outcome.state}: {outcome.suite}: {outcome.why}",
                    markup=False, highlight=False, soft_wrap=True,
                )  # fmt: skip
        for note in self.notes:
            console.print(note, markup=False, highlight=False, soft_wrap=True)
        if failures := list(self._failures()):
            console.print("\nAll that failed:")
            for line in failures:
                console.print(line, markup=False, highlight=False, soft_wrap=True)

    @property
    def total(self) -> Counter[str]:
        """Return how many tests of all suites ended how."""
        return sum((outcome.tests for outcome in self.outcomes), Counter())

    def _suites(self) -> Table:
        table = Table(title="Where the time went")
        for head in ("suite", "lane", "from", "took", "CPU", "of which", "cores", "tests", "shops"):
            table.add_column(head, justify="left" if head == "suite" else "right")
        for outcome in sorted(self.outcomes, key=lambda o: o.began_s):
            cpu_s = outcome.cpu_s + outcome.deployed_cpu_s
            tests = outcome.tests
            failed = f", {tests['failed']} failed" if tests["failed"] else ""
            table.add_row(
                outcome.suite,
                str(outcome.lane or "-"),
                clock(outcome.began_s),
                clock(outcome.took_s),
                f"{cpu_s:.0f} s",
                f"{outcome.deployed_cpu_s:.0f} s",
                f"{cpu_s / outcome.took_s:.2f}" if outcome.took_s else "-",
                f"{tests['passed']}{failed}" if tests else outcome.state,
                str(outcome.deployments),
                style=None if outcome.is_well else "red",
            )
        for lane, (took_s, cpu_s) in sorted(self._lanes().items()):
            share = f"{took_s / self.took_s:.0%} busy" if self.took_s else ""
            table.add_row(f"lane {lane}", str(lane), "", clock(took_s), f"{cpu_s:.0f} s", "", share)
        table.add_section()
        table.add_row(
            "all",
            "",
            "",
            clock(self.took_s),
            f"{self.host_cpu_s:.0f} s",
            "",
            f"{self.host_cpu_s / self.took_s:.2f}" if self.took_s else "-",
            str(self.total["passed"]),
            str(sum(o.deployments for o in self.outcomes)),
        )
        table.caption = (
            "CPU: the suite's processes and, of which, its containers and machines; in the last"
            f" row the whole host's, of {self.cores} cores. Shops: how many were deployed."
        )
        return table

    def _lanes(self) -> dict[int, tuple[float, float]]:
        found: dict[int, tuple[float, float]] = {}
        for outcome in self.outcomes:
            if outcome.lane:
                took_s, cpu_s = found.get(outcome.lane, (0.0, 0.0))
                more_s = outcome.cpu_s + outcome.deployed_cpu_s
                found[outcome.lane] = (took_s + outcome.took_s, cpu_s + more_s)
        return found

    def _slowest(self) -> Table:
        table = Table(title=f"The {SLOWEST} slowest tests, with what was set up for them")
        table.add_column("took", justify="right")
        table.add_column("suite")
        table.add_column("test", overflow="fold")
        rows = [
            (took_s, outcome.suite, test)
            for outcome in self.outcomes
            for test, took_s in outcome.durations().items()
        ]
        for took_s, suite, test in sorted(rows, reverse=True)[:SLOWEST]:
            table.add_row(f"{took_s:.1f} s", suite, test)
        return table

    def _repeated(self) -> Iterable[str]:
        for outcome in self.outcomes:
            for event in outcome.repeated():
                then = "failed" if event["name"] in outcome.failed() else "passed"
                figures = Pressure.of(json.loads(event["properties"][PROPERTY]))
                yield f"repeated: {event['name']}: {figures}; then {then}"

    def _failures(self) -> Iterable[str]:
        for outcome in self.outcomes:
            final = outcome.reports("failed")
            for event in final:
                yield f"- {outcome.suite}: {event['name']} ({event['phase']}): {event['reason']}"
            if outcome.state == "failed" and not final:
                yield f"- {outcome.suite}: {outcome.why}"

    def to_json(self) -> dict[str, Any]:
        """Return all of it but the single events."""
        return {
            "took_s": self.took_s,
            "host_cpu_s": self.host_cpu_s,
            "cores": self.cores,
            "notes": list(self.notes),
            "suites": [
                {
                    **{k: v for k, v in asdict(outcome).items() if k != "events"},
                    "tests": dict(outcome.tests),
                    "deployments": outcome.deployments,
                    "durations_s": outcome.durations(),
                    "failures": list(outcome.reports("failed")),
                    "skipped": list(outcome.reports("skipped")),
                    "repeated": outcome.repeated(),
                }
                for outcome in self.outcomes
            ],
        }


def last_times(path: Path) -> Mapping[str, float]:
    """Return seconds by suite from an earlier run's summary; none if it can't be read."""
    try:
        suites = json.loads(path.read_text())["suites"]
        return {s["suite"]: float(s["took_s"]) for s in suites if s["state"] == "passed"}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def clock(seconds: float) -> str:
    """Return a duration for a table: `12:05`."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
