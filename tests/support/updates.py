"""What must be so of an update that customers do not notice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from probe.vegeta import Answer


def lost(answers: Iterable[Answer]) -> list[tuple[str, str]]:
    """Return what was asked for in vain, each with what came in place of an answer."""
    return [(answer.path, answer.note) for answer in answers if not answer.good]


def assert_none_lost(answers: Sequence[Answer], *, more_than: int = 100) -> None:
    """Fail if a request was lost, or too few were sent for one in a hundred to show."""
    assert len(answers) > more_than, f"only {len(answers)} requests were sent"
    gone = lost(answers)
    assert not gone, f"{len(gone)} of {len(answers)} requests were lost: {gone}"
