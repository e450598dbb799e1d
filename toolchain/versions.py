"""Reading versions out of what tools print."""

from __future__ import annotations

import re

Version = tuple[int, ...]

_NUMBER = re.compile(r"(?<![\d.])[vV]?(?:go)?(\d+(?:\.\d+)+)")


def parse_version(text: str) -> Version | None:
    """Return the first dotted version in `text`, or None.

    A leading `v` or `go` is skipped and anything after the numbers (`-dev`, `+dfsg1`) is dropped.
    """
    found = _NUMBER.search(text)
    return tuple(int(part) for part in found.group(1).split(".")) if found else None


def at_least(text: str, minimum: str) -> bool:
    """Tell whether the version in `text` is there and not below `minimum`."""
    found, wanted = parse_version(text), parse_version(minimum)
    return found is not None and wanted is not None and found >= wanted


def within(text: str, minimum: str, below: str) -> bool:
    """Tell whether the version in `text` is at least `minimum` and lower than `below`."""
    return at_least(text, minimum) and not at_least(text, below)


def show(version: Version) -> str:
    """Return a version as text."""
    return ".".join(str(part) for part in version)
