"""The records that a run consists of: samples, rounds and the manifest.

One sample is one line of ``samples.jsonl``; its JSON Schema is ``schema/sample.schema.json`` and
docs/results-schema.md describes it. A sample with an outcome other than ``ok`` stays in the data:
nothing is dropped, and every figure is given with ``n_ok/n_total``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal

#: 2: a run has sides (a model in a shape each), keys of trials name the shape too.
SCHEMA_VERSION: Final = 2

Outcome = Literal["ok", "failed", "not_applicable", "not_measured"]
#: ``cold``: images and disks are not on the host yet. ``warm``: they are. ``up``: the stack was
#: there before the probe came.
State = Literal["cold", "warm", "up"]
STATES: Final[tuple[State, ...]] = ("cold", "warm", "up")

#: What tells an emulated machine from a real one, on every line and chart.
EMULATED: Final = "tcg"


@dataclass(frozen=True, slots=True)
class Sample:
    """One measured value, or one attempt to measure that failed.

    ``value`` is None unless the outcome is ``ok``. ``labels`` splits a metric (``part``, ``scope``
    and so on), ``host`` is the load of the host around the sample, ``evidence`` says how the value
    came about or why there is none.
    """

    run: str
    model: str
    shape: str
    experiment: str
    round: int
    metric: str
    value: float | None
    unit: str
    time: str
    outcome: Outcome = "ok"
    evidence: str = ""
    state: State = "warm"
    first: bool = False
    accelerator: str = "none"
    labels: Mapping[str, str] = field(default_factory=dict)
    host: Mapping[str, float] = field(default_factory=dict)
    schema: int = SCHEMA_VERSION

    def to_json(self) -> dict[str, Any]:
        """Return the record as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Sample:
        """Return the sample that ``to_json`` made; raise ValueError for anything else."""
        try:
            sample = cls(**data)
        except TypeError as error:
            raise ValueError(f"not a sample: {error}") from error
        if sample.schema != SCHEMA_VERSION:
            raise ValueError(f"schema {sample.schema}, this probe reads {SCHEMA_VERSION}")
        if sample.outcome == "ok" and not isinstance(sample.value, int | float):
            raise ValueError(f"{sample.metric}: outcome ok without a value")
        return sample


@dataclass(frozen=True, slots=True, order=True)
class Side:
    """One side of a comparison: a model, and the shape of the shop in it."""

    model: str
    shape: str

    def __str__(self) -> str:
        """Return the side as the manifest has it: ``docker/microservices``."""
        return f"{self.model}/{self.shape}"

    @classmethod
    def parse(cls, text: str) -> Side:
        """Return the side that ``str`` wrote; raise ValueError for anything else."""
        model, slash, shape = text.partition("/")
        if not (model and slash and shape):
            raise ValueError(f"not a side: {text}")
        return cls(model, shape)


@dataclass(frozen=True, slots=True)
class Trial:
    """One deployment of one side in one round: what is planned, and the key of what is done."""

    round: int
    model: str
    shape: str
    state: State

    @property
    def key(self) -> str:
        """Return the name that rounds.jsonl and the raw files know it by."""
        return f"{self.round}-{self.model}-{self.shape}-{self.state}"

    @property
    def alike(self) -> str:
        """Return the key of a trial that takes as long: what is measured once is in the first."""
        return replace(self, round=min(self.round, 2)).key

    @classmethod
    def parse(cls, key: str) -> Trial:
        """Return the trial of a key; raise ValueError for anything else."""
        number, model, shape, state = key.split("-")
        if state not in STATES:
            raise ValueError(f"not a trial's key: {key}")
        return cls(int(number), model, shape, state)

    @classmethod
    def of(cls, sample: Sample) -> Trial:
        """Return the trial that a sample belongs to."""
        return cls(sample.round, sample.model, sample.shape, sample.state)


@dataclass(frozen=True, slots=True)
class Timeline:
    """The requests around an event of a trial, at the times at which they were sent.

    ``answers`` has seconds since the event, latency in seconds, and what went wrong, if anything.
    """

    trial: str
    event: str
    answers: tuple[tuple[float, float, str], ...]


@dataclass(frozen=True, slots=True)
class TrialDone:
    """One line of rounds.jsonl: a trial that has ended, with what it took."""

    key: str
    outcome: Outcome
    seconds: float
    samples: int
    note: str = ""
    schema: int = SCHEMA_VERSION


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a run was asked to do and where: everything needed to repeat it."""

    run: str
    started: str
    sides: tuple[str, ...]
    reps: int
    states: tuple[State, ...]
    experiments: tuple[str, ...]
    seed: int
    order: tuple[str, ...]
    settle_s: float
    window_s: float
    poll_period_s: float
    timeout_s: float
    config: Mapping[str, Any] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""
    transactions: int = 10
    load_s: float = 10.0
    max_rate: float = 640.0
    schema: int = SCHEMA_VERSION

    @property
    def models(self) -> tuple[str, ...]:
        """Return the models that take part, each once."""
        return tuple(dict.fromkeys(Side.parse(side).model for side in self.sides))

    @property
    def shapes(self) -> tuple[str, ...]:
        """Return the shapes that take part, each once."""
        return tuple(dict.fromkeys(Side.parse(side).shape for side in self.sides))
