"""The bench's own judgement."""

from __future__ import annotations

import json
from pathlib import Path

from bench.figures import bounded, compared, exit_code, kept, not_tested, write


def test_a_ratio_of_medians_is_bounded() -> None:
    figure = compared("x", [3.0, 30.0, 2.9], [2.0, 2.1, 1.0], limit=1.5)
    assert (figure.ours, figure.theirs, figure.ratio, figure.holds) == (3.0, 2.0, 1.5, True)
    assert figure.spread == {"ours": [2.9, 30.0], "theirs": [1.0, 2.1]}
    assert compared("x", [3.1], [2.0], limit=1.5).holds is False


def test_only_a_miss_or_a_breakdown_fails_the_run() -> None:
    good = bounded("a", [1.0], unit="s", limit=1.0)
    absent = not_tested("b", "nothing here", unit="s", limit=1.0)
    assert good.holds is True
    assert absent.holds is None
    assert absent.note == "not tested: nothing here"
    assert exit_code([good, absent]) == 0
    assert exit_code([good, bounded("a", [1.1], unit="s", limit=1.0)]) == 1
    assert exit_code([not_tested("b", "broke", unit="s", limit=1.0, failed=True)]) == 1


def test_the_file_has_the_promised_keys(tmp_path: Path) -> None:
    file = tmp_path / "results" / "bench.json"
    write(file, [compared("x", [1.0], [1.0], limit=1.5, note="why")])
    (entry,) = json.loads(file.read_text())
    wanted = {"name", "ours", "theirs", "ratio", "limit", "bound", "holds", "spread", "unit"}
    assert set(entry) == {*wanted, "note"}
    assert entry["bound"] == "most"


def test_a_share_of_throughput_is_to_be_kept() -> None:
    figure = kept("x", [70.0, 71.0, 69.0], [100.0, 90.0, 110.0], limit=0.7)
    assert (figure.ratio, figure.holds) == (0.7, True)
    assert figure.as_json()["bound"] == "least"
    assert kept("x", [69.0], [100.0], limit=0.7).holds is False
