from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from probe import baseline
from probe.records import Sample
from probe.store import Run
from tests.support.probe_fakes import make_manifest, make_sample


def run(values: list[float], *, lines: float = 680, name: str = "r1", **manifest: Any) -> Run:
    """Return a run with a figure that is sampled, and one that is counted."""
    samples: list[Sample] = []
    for number, value in enumerate(values, 1):
        samples.append(make_sample(round=number, value=value))
        samples.append(
            make_sample(
                round=number,
                experiment="ease",
                metric="configuration_lines",
                value=lines,
                unit="count",
            )
        )
    return Run(make_manifest(run=name, **manifest), tuple(samples), {}, ())


SEVEN = [4.0, 4.1, 4.2, 4.3, 4.4, 4.5, 4.6]


def verdicts(old: Run, new: Run) -> dict[str, str]:
    return {c.text.rpartition(": ")[2]: c.verdict for c in baseline.changes(old, new)}


def test_a_run_against_itself_shows_no_change() -> None:
    assert set(verdicts(run(SEVEN), run(SEVEN)).values()) == {"no change shown"}


@pytest.mark.parametrize(("factor", "verdict"), [(2.0, "more"), (0.5, "less")])
def test_what_is_sampled_changed_if_chance_is_ruled_out(factor: float, verdict: str) -> None:
    found = verdicts(run(SEVEN), run([value * factor for value in SEVEN]))
    assert found == {
        "first transaction": verdict,
        "lines of configuration of its own": "no change shown",
    }


def test_three_rounds_cannot_rule_out_chance() -> None:
    old, new = run(SEVEN[:3]), run([9.0, 9.1, 9.2])
    assert verdicts(old, new)["first transaction"] == "no change shown"
    assert "no rank test can rule out chance" in baseline.summary(baseline.changes(old, new))


def test_what_is_counted_changed_if_it_differs() -> None:
    (change,) = [
        c
        for c in baseline.changes(run(SEVEN), run(SEVEN, lines=700))
        if c.verdict != "no change shown"
    ]
    assert (change.before, change.after, change.verdict, change.adjusted) == (
        680,
        700,
        "more",
        None,
    )


def test_an_emulated_machine_is_not_held_against_a_real_one() -> None:
    old = run(SEVEN)
    emulated = replace(
        old, samples=tuple(replace(s, model="vm", accelerator="tcg") for s in old.samples)
    )
    real = replace(
        old, samples=tuple(replace(s, model="vm", accelerator="kvm") for s in old.samples)
    )
    assert baseline.changes(emulated, real) == []
    assert "No figure is in both runs" in baseline.summary([])


def test_what_else_is_different_is_said() -> None:
    old, new = run(SEVEN), run(SEVEN, name="r2", versions={"python": "3.12"})
    assert baseline.circumstances(old, new) == ["versions: python 3.11 before, 3.12 now"]
    console = Console(file=io.StringIO(), width=200)
    console.print(baseline.render(old, run([v * 2 for v in SEVEN], versions={"python": "3.12"})))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "Since run r1" in shown
    assert "4.30 s" in shown
    assert "8.60 s" in shown
    assert "different too: versions: python 3.11 before, 3.12 now" in shown


def test_an_unknown_baseline_is_one_clear_line(tmp_path: Path) -> None:
    from probe.errors import ProbeError
    from probe.store import read_run

    with pytest.raises(ProbeError, match="no such results folder"):
        read_run(tmp_path / "nowhere")
