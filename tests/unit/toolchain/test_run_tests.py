"""How `make test` hands over to the tests' own runner, and when it has to end."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from toolchain import checks
from toolchain.paths import Paths
from toolchain.progress import make_reporter
from toolchain.steps import Runner, Step, StepContext


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    paths = Paths(root=tmp_path / "clone", cache=tmp_path / "cache", run=tmp_path / "run")
    python = paths.venv / "bin" / "python"
    python.parent.mkdir(parents=True)
    # Says what it was called with, and ends as it is told.
    python.write_text(
        '#!/bin/sh\nprintf "%s\\n" "$@" >"$0.words"\nenv >"$0.env"\nexit "${ENDS:-0}"\n'
    )
    python.chmod(0o755)
    return paths


def words(paths: Paths) -> list[str]:
    return (paths.venv / "bin" / "python.words").read_text().splitlines()


@pytest.mark.parametrize("code", [0, 1, 5])
def test_its_exit_code_is_the_runners(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setenv("ENDS", str(code))
    assert checks.run_tests(paths) == code


def test_what_is_asked_for_is_handed_on(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    checks.run_tests(paths, ["-k", "some thing"], suites="docker,units", no_skip=True)
    told = words(paths)
    assert told[:2] == ["-m", "tests.runner"]
    assert told[told.index("--suites") + 1] == "docker,units"
    assert told[told.index("--") + 1 :] == ["-k", "some thing"]
    assert "--no-skip" in told
    assert "--deadline" not in told


def test_the_clones_own_tools_come_first(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "another's")
    checks.run_tests(paths)
    environment = (paths.venv / "bin" / "python.env").read_text()
    assert f"PATH={paths.bin}:{paths.venv / 'bin'}:" in environment
    assert "another's" not in environment


def test_only_in_ci_it_has_to_end_by_itself() -> None:
    assert checks.deadline_s({}) is None
    assert checks.deadline_s({"CI": "false"}) is None
    began = {"CI": "true", checks.STARTED_VARIABLE: "1000"}
    assert checks.deadline_s(began) == 1000 + checks.CI_LIMIT_S


def test_steps_are_stopped_at_the_deadline(tmp_path: Path) -> None:
    """The builds before the tests are part of the time."""

    async def hangs(context: StepContext) -> None:
        await context.run("sleep", "600")

    async def passes(context: StepContext) -> None:
        return

    steps = [Step("slow", hangs), Step("later", passes, ("slow",))]
    reporter = make_reporter()
    try:
        outcomes = Runner(tmp_path, reporter, deadline_s=time.time()).run(steps)
    finally:
        reporter.close()
    assert [outcome.state for outcome in outcomes] == ["stopped", "stopped"]
