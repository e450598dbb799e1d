"""How many bytes a model ships and how many lie unpacked on the host's disk."""

from __future__ import annotations

from probe import models
from probe.errors import ProbeError
from probe.experiments.base import Context, Experiment
from probe.records import Sample


class Disk(Experiment):
    """Disk space, guest OS and base image apart from the shop as far as they can be told apart."""

    name = "disk"
    summary = "bytes shipped and unpacked, platform apart from application"
    states = ("warm", "up")

    def measure(self, context: Context) -> list[Sample]:
        """Return a sample per part and the two totals."""
        parts = []
        target, reason = context.target, context.not_up
        if target is not None and not reason:
            try:
                inspector = models.inspector(target)
                try:
                    parts = inspector.disk(context.artefacts)
                finally:
                    inspector.close()
            except ProbeError as error:
                reason = str(error)
        samples = []
        for kind in ("shipped", "unpacked"):
            of_kind = [p for p in parts if p.kind == kind]
            metric = f"disk_{kind}_bytes"
            if not of_kind:
                samples.append(
                    context.sample(
                        self.name,
                        metric,
                        None,
                        "bytes",
                        outcome="failed" if reason else "not_measured",
                        evidence=reason or "nothing is recorded about what was built",
                        scope="total",
                        part="total",
                    )
                )
                continue
            samples += [
                context.sample(
                    self.name,
                    metric,
                    p.size_bytes,
                    "bytes",
                    evidence=p.evidence,
                    scope=p.scope,
                    part=p.part,
                )
                for p in of_kind
            ]
            samples.append(
                context.sample(
                    self.name,
                    metric,
                    sum(p.size_bytes for p in of_kind),
                    "bytes",
                    scope="total",
                    part="total",
                )
            )
        return samples
