"""A service of `app/` lints and tests itself: in its check stage, or by its Makefile alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.steps import nothing
from toolchain import service_checks
from toolchain.artefacts.images import BaseImage
from toolchain.buildah import Buildah
from toolchain.paths import Paths
from toolchain.progress import Terminal
from toolchain.service_checks import ingress_steps, service_steps
from toolchain.steps import Outcome, Runner, Step, StepContext, StepError
from toolchain.tools import tool_path


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(root=tmp_path, cache=tmp_path / "cache", run=tmp_path / "run")


def run(tmp_path: Path, steps: list[Step]) -> dict[str, Outcome]:
    stubs = [Step(name, nothing) for name in ("venv", "base-image")]
    with (tmp_path / "out").open("w") as out:
        terminal = Terminal(out, live=False)
        outcomes = Runner(tmp_path / "logs", terminal).run([*stubs, *steps])
        terminal.close()
    return {outcome.name: outcome for outcome in outcomes if outcome.name not in ("venv", BASE)}


BASE = "base-image"


def test_a_folder_with_a_makefile_alone_is_a_step_per_goal(paths: Paths, tmp_path: Path) -> None:
    for name, rule in (("good", "true"), ("bad", "false")):
        directory = tmp_path / "app" / name
        (directory / "tests").mkdir(parents=True)
        (directory / "Makefile").write_text(f"lint test:\n\t@{rule}\n")
    (tmp_path / "app" / "contract").mkdir()
    (tmp_path / "app" / "good" / "tests" / "test_x.py").touch()
    states = {n: o.state for n, o in run(tmp_path, service_steps(paths, ("lint",))).items()}
    assert states == {"bad-lint": "failed", "good-lint": "not run"}
    # Without tests there is nothing to run.
    (tmp_path / "app" / "bad" / "Makefile").write_text("lint:\n")
    states = {n: o.state for n, o in run(tmp_path, service_steps(paths, ("lint", "test"))).items()}
    assert states == {"bad-lint": "done", "good-lint": "done", "good-test": "done"}


def test_the_ingress_controller_checks_itself_with_an_api_server_of_ours(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = tmp_path / "go" / "bin" / "go"
    go.parent.mkdir(parents=True)
    go.write_text('#!/bin/sh\ntouch "$(dirname "$0")/asked"\n')
    go.chmod(0o755)
    monkeypatch.setattr(service_checks, "go_command", lambda: go)
    directory = tmp_path / "k8s" / "ingress"
    directory.mkdir(parents=True)
    (directory / "Makefile").write_text(
        "lint:\n\ttest $$CGO_ENABLED = 0\n\tgo version\n"
        "test-api:\n\tcd $$KUBEBUILDER_ASSETS && test -x kube-apiserver && test -x etcd\n"
    )
    for tool in service_checks.API_SERVER:
        binary = tool_path(paths, tool)
        binary.parent.mkdir(parents=True)
        binary.touch(0o755)
    steps = ingress_steps(paths, ("lint", "test-api"), skip=False)
    assert [set(step.needs) for step in steps] == [set(), {"kubernetes", "etcd"}]
    stubs = [Step(name, nothing) for name in service_checks.API_SERVER]
    for _ in range(2):
        outcomes = run(tmp_path, [*stubs, *steps])
        assert {outcomes[step.name].state for step in steps} == {"done"}
    assert (go.parent / "asked").exists()


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """Put something that remembers in buildah's place; a service `bad` fails."""
    found: list[dict[str, object]] = []

    async def build(
        self: Buildah,
        context: StepContext,
        directory: Path,
        ref: str,
        *,
        arguments: Mapping[str, str],
        target: str | None = None,
        epoch: bool = True,
        final: bool = True,
    ) -> None:
        files = sorted(path.name for path in directory.iterdir())
        found.append({"ref": ref, "target": target, "files": files, **arguments})
        context.log("=== 12 passed in 0.34s ===")
        if "bad" in ref:
            raise StepError("buildah exited with 1")

    monkeypatch.setattr(Buildah, "build", build)
    base = BaseImage("registry/base:1", "d", "mmdebstrap", (), 1)
    monkeypatch.setattr(service_checks, "have_base", lambda paths: base)
    return found


def test_a_check_stage_is_built_anew_each_time(
    paths: Paths, tmp_path: Path, builds: list[dict[str, object]]
) -> None:
    for name in ("bad", "good"):
        directory = tmp_path / "app" / name
        directory.mkdir(parents=True)
        (directory / "Makefile").write_text("lint test:\n\tfalse\n")
        (directory / "Dockerfile").write_text("FROM ${BASE} AS check\nARG CHECK_RUN\nRUN make\n")
    steps = service_steps(paths, ("lint", "test"), skip=False)
    assert [step.name for step in steps] == ["bad-check", "good-check"]
    for _ in range(2):
        outcome = run(tmp_path, steps[1:])["good-check"]
        assert (outcome.state, outcome.detail) == ("done", "lint, 12 tests passed")
    assert run(tmp_path, steps)["bad-check"].state == "failed"
    first, second = builds[:2]
    assert first["CHECK_RUN"] != second["CHECK_RUN"]
    for one in (first, second):
        assert one["target"] == "check"
        assert one["BASE"] == "registry/base:1"
        assert one["files"] == ["Dockerfile", "Makefile"]


@pytest.mark.usefixtures("builds")
def test_a_check_that_would_come_from_the_cache_is_refused(paths: Paths, tmp_path: Path) -> None:
    (tmp_path / "app" / "sixth").mkdir(parents=True)
    (tmp_path / "app" / "sixth" / "Dockerfile").write_text("FROM ${BASE} AS check\nRUN make\n")
    outcome = run(tmp_path, service_steps(paths, ("lint",)))["sixth-check"]
    assert outcome.state == "failed"
    assert outcome.error == "app/sixth/Dockerfile has no ARG CHECK_RUN: see docs/services.md"


@pytest.mark.parametrize(
    ("log", "passed"),
    [
        ("================ 41 passed, 1 warning in 2.10s ================\n", 41),
        ("41 passed in 2.10s\n1 failed, 3 passed in 1.00s\n", 41),
        ("\x1b[2m      Tests \x1b[22m \x1b[1m\x1b[32m17 passed\x1b[39m\x1b[22m (17)\n", 17),
        ("# tests 9\n# pass 9\n# fail 0\n", 9),
        ("\u2139 tests 8\n\u2139 pass 8\n", 8),
        ("--- PASS: TestA (0.00s)\n    --- PASS: TestA/b (0.00s)\nok  cart 0.01s\n", 2),
        (
            "[INFO] Tests run: 3, Failures: 0, Errors: 0, Skipped: 0, Time elapsed: 1 s -- in A\n"
            "[INFO] Tests run: 5, Failures: 0, Errors: 0, Skipped: 0\n",
            5,
        ),
        ("nothing here\n", 0),
    ],
)
def test_tests_are_counted_from_what_the_runners_say(log: str, passed: int) -> None:
    assert service_checks.tests_passed(log) == passed
