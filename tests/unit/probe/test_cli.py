"""The probe's command line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from probe import store
from probe.cli import _experiments, main
from probe.experiments import DEFAULT, EXPERIMENTS
from tests.support import ROOT

Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Return what runs a command line as `python -m probe` does, in this process."""
    monkeypatch.chdir(ROOT)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr(sys, "argv", ["probe", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        code = ended.value.code
        assert code is None or isinstance(code, int)
        return subprocess.CompletedProcess(words, code or 0, said.out, said.err)

    return run


@pytest.mark.parametrize(
    ("words", "text", "code"),
    [
        (
            ("compare", "--models", "lxc"),
            "unknown model 'lxc': known are docker, kubernetes, vm",
            2,
        ),
        (("estimate", "--shapes", "serverless"), "known are microservices, monolith", 2),
        (("estimate", "--experiments", "speed"), "unknown experiment speed", 2),
        (("estimate", "--states", "tepid"), "unknown state tepid: known are cold, warm", 2),
        (("report", "results/never"), "no such results folder", 1),
    ],
)
def test_bad_input_is_one_clear_line(
    cli: Cli, words: tuple[str, ...], text: str, code: int
) -> None:
    done = cli(*words)
    assert text in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.returncode == code


def test_damaged_results_are_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / store.MANIFEST).write_text("{")
    done = subprocess.run(
        [sys.executable, "-m", "probe", "report", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert "cannot be read" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.returncode == 1


def test_the_estimate_counts_the_deployments(cli: Cli) -> None:
    done = cli("estimate", "--reps", "2", "--states", "warm")
    assert done.stdout.startswith("6 deployments, about ")
    both = cli("estimate", "--reps", "2", "--states", "warm", "--shapes", "monolith,microservices")
    assert both.stdout.startswith("12 deployments, about ")


def test_all_experiments_have_one_name() -> None:
    assert _experiments("all") == tuple(EXPERIMENTS)
    assert _experiments("") == DEFAULT
    assert set(DEFAULT) < set(EXPERIMENTS)
