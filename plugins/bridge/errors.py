"""Errors that the bridge turns into Pulumi's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


class UserError(Exception):
    """An operation failed for a reason the user can act on; the text is shown as it is."""


class InitFailed(Exception):
    """The object exists but did not become what was asked for; it is kept in the state."""

    def __init__(self, id: str, state: dict[str, Any], *reasons: str) -> None:
        super().__init__("; ".join(reasons))
        self.id = id
        self.state = state
        self.reasons = list(reasons)


@dataclass(frozen=True)
class CheckFailure:
    """One input that is not accepted: its path (`ports[0].internal`) and why."""

    path: str
    reason: str
