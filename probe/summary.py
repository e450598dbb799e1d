"""From samples to figures: pure functions that table and report share."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from probe import texts
from probe.language import t
from probe.records import EMULATED, Sample, State
from probe.stats import Interval, describe

_ORDER = {"cold": 0, "warm": 1, "up": 2}


@dataclass(frozen=True, slots=True, order=True)
class Column:
    """One side of a comparison in a state: a model, a shape, with what ran its machine."""

    model: str
    shape: str
    rank: int
    state: State
    accelerator: str

    @property
    def emulated(self) -> bool:
        """Tell whether the machine's processor was emulated."""
        return self.accelerator == EMULATED

    @property
    def title(self) -> str:
        """Return what the column is called; an emulated machine says so."""
        model = texts.MODELS.get(self.model, self.model)
        name = f"{t(model)}, {t(self.shape)}, {t(texts.STATES[self.state])}"
        return f"{name}, {t(texts.EMULATED)}" if self.emulated else name


@dataclass(frozen=True)
class Figure:
    """All samples of one metric in one column, failed ones among them."""

    samples: tuple[Sample, ...]

    @cached_property
    def counted(self) -> tuple[Sample, ...]:
        """Return the samples that were attempted: ok and failed."""
        return tuple(s for s in self.samples if s.outcome in ("ok", "failed"))

    @cached_property
    def per_round(self) -> list[float]:
        """Return a value per deployment that gave any: several of one are not independent."""
        rounds: dict[int, list[float]] = {}
        for s in self.counted:
            if s.value is not None:
                rounds.setdefault(s.round, []).append(s.value)
        return [statistics.median(values) for values in rounds.values()]

    @cached_property
    def interval(self) -> Interval:
        """Return median, interval and counts.

        Several values of one deployment are not independent: each deployment enters with the
        median of its own, while the counts are those of all attempts.
        """
        rounds: dict[int, list[float | None]] = {}
        for s in self.counted:
            rounds.setdefault(s.round, []).append(s.value)
        if all(len(values) == 1 for values in rounds.values()):
            return describe([s.value for s in self.counted])
        result = describe([describe(values).median for values in rounds.values()])
        good = sum(s.value is not None for s in self.counted)
        return replace(result, n_ok=good, n_total=len(self.counted))

    @property
    def unit(self) -> str:
        """Return the unit of the values."""
        return self.samples[0].unit if self.samples else ""

    @property
    def reason(self) -> str:
        """Return why there is no value, if there is none."""
        for outcome in ("not_applicable", "not_measured", "failed"):
            for sample in self.samples:
                if sample.outcome == outcome:
                    return f"{t(outcome.replace('_', ' '))}: {sample.evidence}"
        return t("not measured")


def columns(samples: Iterable[Sample]) -> list[Column]:
    """Return the columns that a table of these samples has: by model, by shape, cold first."""
    found: dict[tuple[str, str, State], str] = {}
    for s in samples:
        # A deployment that failed early does not know its accelerator; the others' counts.
        key = (s.model, s.shape, s.state)
        found[key] = s.accelerator if s.accelerator != "none" else found.get(key, "none")
    return sorted(Column(m, shape, _ORDER[s], s, a) for (m, shape, s), a in found.items())


class Index:
    """The samples of a run, sorted so that each cell of a table is found at once."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self.samples = tuple(samples)
        self.columns = columns(self.samples)
        self._cells: dict[tuple[str, str, str, str, str], list[Sample]] = {}
        #: The parts that a metric has, in the order in which they were measured: (scope, part).
        self._parts: dict[tuple[str, str], dict[tuple[str, str], None]] = {}
        for s in self.samples:
            key = (s.model, s.shape, s.state, s.experiment, s.metric)
            self._cells.setdefault(key, []).append(s)
            if "part" in s.labels:
                parts = self._parts.setdefault((s.experiment, s.metric), {})
                parts[s.labels.get("scope", ""), s.labels["part"]] = None

    def figure(
        self,
        column: Column,
        experiment: str,
        metric: str,
        labels: Mapping[str, str] | None = None,
    ) -> Figure:
        """Return one cell of a table; ``labels`` pick one part of a metric."""
        wanted = dict(labels or {})
        found = self._of(column, experiment, metric)
        return Figure(
            tuple(s for s in found if all(s.labels.get(k) == v for k, v in wanted.items()))
        )

    def _of(self, column: Column, experiment: str, metric: str) -> list[Sample]:
        return self._cells.get((column.model, column.shape, column.state, experiment, metric), [])

    def has(self, experiment: str, metric: str) -> bool:
        """Tell whether there is any sample of a metric."""
        return any(key[3:] == (experiment, metric) for key in self._cells)

    def parts(self, experiment: str, metric: str, scope: str) -> list[str]:
        """Return the parts of a metric in a scope, as measured; the total last."""
        parts = [part for s, part in self._parts.get((experiment, metric), {}) if s == scope]
        return sorted(parts, key=lambda part: part == "total")

    def trials(self, column: Column) -> dict[int, dict[str, Sample]]:
        """Return the phases of each deployment of a column: round, then metric."""
        found: dict[int, dict[str, Sample]] = {}
        for metric, _, _ in texts.PHASES:
            for s in self._of(column, "readiness", metric):
                found.setdefault(s.round, {})[metric] = s
        return found


Entry = tuple[str, str, dict[str, str], str]


def rows(index: Index) -> list[tuple[str, list[Entry]]]:
    """Return the table's rows under their headings: those of every run, and a row per service."""
    found: list[tuple[str, list[Entry]]] = []
    for heading, entries in texts.ROWS:
        found.append((t(heading), [(e, m, labels, t(text)) for e, m, labels, text in entries]))
        if heading == texts.ROWS[0][0] and index.has("readiness", "step_s"):
            steps: list[Entry] = [
                ("readiness", "step_s", {"step": step}, t(text)) for step, text in texts.STEPS
            ]
            found.append((t(texts.STEPS_HEADING), steps))
        for metric, title in texts.SHARES.get(heading, ()):
            shares: list[Entry] = []
            for scope, name in texts.SCOPES.items():
                for part in index.parts("resources", metric, scope):
                    text = t(name) if part == "total" else t(part)
                    shares.append(("resources", metric, {"scope": scope, "part": part}, text))
            found.append((t(title), shares))
    return found


def attribution(columns: Iterable[Column]) -> str:
    """Return what a difference between columns can be put down to; nothing where there is one side.

    Where each model runs a shape of its own, no difference has a single cause.
    """
    sides = {(c.model, c.shape) for c in columns}
    if len(sides) < 2:
        return ""
    models, shapes = {m for m, _ in sides}, {s for _, s in sides}
    crossed = len(sides) == len(models) * len(shapes)
    return t(texts.UNMIXED if crossed else texts.MIXED)


def proof_of_concept(index: Index) -> tuple[str, list[Column]]:
    """Return the short table's title and columns: the monolith alone where every model ran it.

    Else, and with one model only, every side there is: that is no proof of concept.
    """
    warm = [c for c in index.columns if c.state != "cold"]
    monolith = [c for c in warm if c.shape == "monolith"]
    models = {c.model for c in warm}
    if len(models) > 1 and {c.model for c in monolith} == models:
        return t(texts.POC_TITLE), monolith
    return t(texts.SHORT_TITLE), warm


def segments(index: Index, column: Column) -> list[tuple[str, str, Figure]]:
    """Return the phases of a column as durations: (text, scope, durations).

    A duration is taken within one deployment, from the phase before that was seen to this one. In
    one without the phase it is a failed sample.
    """
    trials = index.trials(column)
    found: list[tuple[str, str, Figure]] = []
    for number, (metric, text, scope) in enumerate(texts.PHASES):
        durations: list[Sample] = []
        for phases in trials.values():
            end = phases.get(metric)
            if end is None:
                continue
            if end.value is None:
                durations.append(end)
                continue
            begin = 0.0
            for earlier, _, _ in texts.PHASES[:number]:
                value = phases[earlier].value if earlier in phases else None
                begin = max(begin, value or 0.0)
            durations.append(replace(end, value=max(end.value - begin, 0.0)))
        if durations:
            found.append((text, scope, Figure(tuple(durations))))
    return found


def scopes(index: Index, column: Column) -> dict[str, Figure]:
    """Return the time per scope: platform until it is ready, application from there on."""
    trials = index.trials(column)
    platform: list[Sample] = []
    application: list[Sample] = []
    for phases in trials.values():
        ready, last = phases.get("platform_ready_s"), phases.get("first_transaction_s")
        if ready is not None:
            platform.append(ready)
        if last is not None:
            if ready is not None and ready.value is not None and last.value is not None:
                application.append(replace(last, value=last.value - ready.value))
            elif last.value is None:
                application.append(last)
    return {
        "platform": Figure(tuple(platform)),
        "application": Figure(tuple(application)),
    }


def emulated(samples: Iterable[Sample]) -> bool:
    """Tell whether any machine in there was emulated."""
    return any(s.accelerator == EMULATED for s in samples)


def show(value: float | None, unit: str) -> str:
    """Return a value with its unit, to three significant figures or so."""
    if value is None:
        return "-"
    match unit:
        case "bytes":
            return show_bytes(value)
        case "s":
            if abs(value) < 1:
                return f"{value * 1000:.3g} ms"
            return f"{value:.1f} s" if abs(value) >= 10 else f"{value:.2f} s"
        case "cores":
            return t("{value} % of a core").format(value=f"{value * 100:.1f}")
        case "s/min":
            return f"{value:.2f} s/min"
        case "count":
            return f"{value:.0f}" if value == int(value) else f"{value:.1f}"
        case _:
            return f"{value:.3g} {unit}"


def show_bytes(value: float) -> str:
    """Return bytes in the binary unit that suits them."""
    if abs(value) < 1024:
        return f"{value:.0f} B"
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        value /= 1024
        if abs(value) < 1024 or unit == "TiB":
            break
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:.{digits}f} {unit}"


def show_range(interval: Interval, unit: str) -> str:
    """Return the interval as ``low to high``; the range seen where points are too few for one."""
    if interval.low is not None and interval.high is not None:
        low, high = interval.low, interval.high
    elif interval.n_ok > 1 and interval.smallest is not None and interval.largest is not None:
        low, high = interval.smallest, interval.largest
    else:
        return ""
    first, last = show(low, unit), show(high, unit)
    if first == last:
        return ""
    number, _, same = first.partition(" ")
    low_text = number if same and last.endswith(f" {same}") else first
    return t("{low} to {high}").format(low=low_text, high=last)
