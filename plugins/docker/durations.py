"""Go's duration texts (`1m30s`), in which the daemon's clients state times."""

from __future__ import annotations

import re

_UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")


def parse_ns(text: str) -> int:
    """Return a duration in nanoseconds; raises ValueError for a text that is none."""
    if text == "0":
        return 0
    total, end = 0.0, 0
    for part in _PART.finditer(text):
        if part.start() != end:
            break
        total += float(part.group(1)) * _UNITS_NS[part.group(2)]
        end = part.end()
    if not text or end != len(text):
        raise ValueError(f"{text!r} is not a duration such as 30s or 1m30s")
    return round(total)


def format_ns(value: int) -> str:
    """Return a duration as Go prints it."""
    if value == 0:
        return "0s"
    for unit, next_unit in (("ns", "us"), ("us", "ms"), ("ms", "s")):
        if value < _UNITS_NS[next_unit]:
            return f"{_decimal(value / _UNITS_NS[unit])}{'µs' if unit == 'us' else unit}"
    minutes, seconds_ns = divmod(value, _UNITS_NS["m"])
    hours, minutes = divmod(minutes, 60)
    text = f"{_decimal(seconds_ns / _UNITS_NS['s'])}s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text


def same_duration(old: str | None, new: str | None) -> bool:
    """Tell whether two texts stand for the same time; absence is zero."""
    try:
        return parse_ns(old or "0") == parse_ns(new or "0")
    except ValueError:
        return False


def _decimal(value: float) -> str:
    return f"{value:.9f}".rstrip("0").rstrip(".")
