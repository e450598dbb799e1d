"""What experiments measure: answers, replicas, a model that is asked."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from probe.engine import UpResult
from probe.errors import ProbeError
from probe.models.base import Kill
from probe.records import Sample
from probe.vegeta import Answer

FAULTS = {
    "docker": (("process", "dockerd"), ("container", "")),
    "kubernetes": (("process", "the kubelet"), ("pod", "a controller"), ("node", "dockerd")),
    "vm": (("machine", ""),),
}


class Attack:
    """Answers each tenth of a second: good (`.`) or bad (`x`), from before it was made.

    A letter is a good answer by the process of that name.
    """

    pattern = "." * 60

    def __init__(self, *_args: Any, **_more: Any) -> None:
        self.began = time.time() - 0.35

    def stop(self) -> list[Answer]:
        return [
            Answer(self.began + n / 10, 0.01, c != "x", instance=c if c not in ".x" else "")
            for n, c in enumerate(self.pattern)
        ]


class Replicas:
    """Three pods at the most; ``late`` questions until another one is ready."""

    def __init__(self, late: int = 3) -> None:
        self.asked = 0
        self.late = late
        self.least = 1
        self.closed = False
        self.counts = {"a": 100, "b": 50, "c": 0}

    def ready(self) -> int:
        self.asked += 1
        return max(self.least, 2 if self.late < self.asked < self.late + 5 else 1)

    def hold(self, least: int) -> None:
        self.least = least

    def release(self) -> None:
        self.least = 1

    def answered(self) -> dict[str, int]:
        before = dict(self.counts)
        self.counts = {"a": 200, "b": 150, "c": 200}
        return before

    def lose_one(self) -> str:
        return "a"

    def close(self) -> None:
        self.closed = True


class Inspector:
    """What a model's inspector says, as far as these experiments ask."""

    def __init__(self, model: str, found: Replicas | None = None) -> None:
        self.model = model
        self.found = found
        self.struck: list[str] = []
        self.boot = "11111111-1111-1111-1111-111111111111"

    def replicas(self, _service: str) -> Replicas | None:
        return self.found

    def kills(self, service: str) -> tuple[Kill, ...]:
        def kill(fault: str, who: str) -> Kill:
            what = f"the {fault}" if fault in ("machine", "node") else f"{fault} of {service}"
            return Kill(fault, what, lambda: self.struck.append(what), who)

        return tuple(kill(*entry) for entry in FAULTS[self.model])

    def lost_without_volume(self) -> Mapping[str, bool]:
        if self.model != "docker":
            raise ProbeError("nobody is let in")
        return {"process": False, "container": True}

    def boot_id(self, _service: str) -> str:
        return self.boot

    def host_address(self) -> str:
        return "127.0.0.1"

    def inside(self, _service: str, script: str, arguments: list[str]) -> str:
        assert "def main()" in script
        assert len(arguments) == 5
        return json.dumps({"mount": [False, "EPERM"], "reach the host": [True, "it answered"]})

    def unhardened(self, _service: str, _script: str, _arguments: list[str]) -> str:
        if self.model != "docker":
            raise ProbeError("no pod without hardening is admitted")
        return json.dumps({"mount": [True, "mounted"], "reach the host": [True, "it answered"]})

    def close(self) -> None:
        pass


def figures(samples: list[Sample], *labels: str) -> dict[Any, float | None]:
    """Return values by metric, and by these labels."""
    return {(s.metric, *(s.labels.get(label, "") for label in labels)): s.value for s in samples}


class Engine:
    """Deploys again, and remembers with which secrets."""

    def __init__(self, error: str = "") -> None:
        self.secrets: list[Mapping[str, str | None]] = []
        self.error = error

    def __call__(self, secrets: Mapping[str, str | None]) -> UpResult:
        self.secrets.append(secrets)
        return UpResult(started_at=0.0, error=self.error)
