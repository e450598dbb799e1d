"""Throughput of good answers alone."""

from __future__ import annotations

import pytest

from bench import (
    load,
)
from probe.errors import ProbeError
from probe.vegeta import Request


def test_one_bad_answer_is_no_throughput() -> None:
    request = Request("GET", "/x")
    good = {"success": 1.0, "throughput": 12.5, "status_codes": {"200": 50}, "errors": []}
    assert load.judged(good, request) == 12.5
    bad = {
        "success": 0.98,
        "throughput": 12.5,
        "status_codes": {"200": 49, "503": 1},
        "errors": ["503 Service Unavailable"],
    }
    with pytest.raises(ProbeError, match="GET /x: answers 200 49x, 503 1x; 503 Service"):
        load.judged(bad, request)
