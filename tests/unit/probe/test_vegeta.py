"""vegeta's words, understood."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from probe import vegeta
from probe.errors import ProbeError
from probe.vegeta import Request, answer


def test_one_line_of_vegetas_is_understood() -> None:
    line = {"code": 200, "timestamp": "2026-01-01T00:00:01Z", "latency": 2_000_000, "error": ""}
    one = answer(line)
    assert (one.good, one.latency_s) == (True, 0.002)
    assert one.ended_at - one.sent_at == pytest.approx(0.002, abs=1e-5)
    assert not answer({**line, "code": 0, "error": "EOF"}).good
    assert not answer({**line, "code": 503}).good
    assert one.instance == ""
    named = {"X-Instance-Id": ["4f2a"], "Date": ["now"]}
    assert answer({**line, "headers": named}).instance == "4f2a"
    assert answer({**line, "headers": None}).instance == ""


def test_vegetas_own_report_is_understood() -> None:
    text = {
        "requests": 10,
        "rate": 5.0,
        "throughput": 4.5,
        "success": 0.9,
        "status_codes": {"200": 9, "0": 1},
        "errors": ["timeout"],
        "latencies": {"50th": 1e6, "90th": 2e6, "95th": 3e6, "99th": 4e6, "max": 5e6},
    }
    found = vegeta.read(text)
    assert (found.good, found.success) == (9, 0.9)
    assert found.latencies_s == {
        "p50": 0.001,
        "p90": 0.002,
        "p95": 0.003,
        "p99": 0.004,
        "max": 0.005,
    }


def test_no_generator_is_one_clear_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(vegeta, "program", lambda: tmp_path / "nowhere")
    with pytest.raises(ProbeError, match="vegeta"):
        vegeta.attack("https://x", [Request("GET", "/")], rate=1, seconds=1, ca_certificate="")


def test_a_request_as_vegeta_reads_it() -> None:
    request = Request("POST", "/x", {"Authorization": "Bearer t"}, {"a": 1})
    entry = json.loads(request.line("http://10.0.0.2:8001"))
    assert entry["url"] == "http://10.0.0.2:8001/x"
    assert json.loads(base64.b64decode(entry["body"])) == {"a": 1}
    assert entry["header"] == {
        "Authorization": ["Bearer t"],
        "Content-Type": ["application/json"],
    }
