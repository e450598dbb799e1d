"""What stands in for steps and for what shows their progress."""

from __future__ import annotations

from toolchain.steps import Outcome, StepContext


async def nothing(context: StepContext) -> None:
    """Do nothing."""


class Silent:
    """A reporter that shows nothing."""

    def started(self, name: str, detail: str, last_s: float | None) -> None: ...

    def changed(self, name: str, detail: str) -> None: ...

    def ended(self, outcome: Outcome) -> None: ...

    def note(self, text: str) -> None: ...
