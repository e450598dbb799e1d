"""Who hears how a run goes on."""

from __future__ import annotations

from collections.abc import Sequence

from probe.records import Sample, Trial, TrialDone


class Listener:
    """Hears how a run goes on; the command line prints it. Does nothing by itself."""

    def begin(self, number: int, total: int, trial: Trial, estimate_s: float) -> None:
        """Hear that a trial begins."""

    def phase(self, text: str) -> None:
        """Hear that the trial goes on to something else."""

    def end(self, trial: Trial, done: TrialDone, samples: Sequence[Sample]) -> None:
        """Hear that a trial has ended."""

    def note(self, text: str) -> None:
        """Hear of something that the user should know."""
