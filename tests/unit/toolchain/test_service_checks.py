"""A check that has passed is not run again until something that it depends on has changed."""

from __future__ import annotations

import dataclasses
import json
import os
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

import pytest

from toolchain import __main__ as main
from toolchain import checks, graph, service_checks, sources
from toolchain.artefacts.images import BaseImage
from toolchain.buildah import Buildah
from toolchain.check_records import KEPT, Passed, Records, describe
from toolchain.files import write_text
from toolchain.paths import Paths
from toolchain.progress import Terminal
from toolchain.service_checks import ingress_steps, service_steps
from toolchain.steps import Outcome, Runner, Step, StepContext, StepError
from toolchain.tools import TOOLS, tool_path

DOCKERFILE = "FROM ${BASE} AS check\nCOPY pycore /pycore\nARG CHECK_RUN\nRUN make lint test\n"


class Clone:
    """A clone with a service, what services have in common, and the Ingress controller."""

    def __init__(self, root: Path, cache: Path) -> None:
        self.paths = Paths(root=root, cache=cache, run=root / "run")
        self.write("app/cart/Dockerfile", DOCKERFILE)
        self.write("app/cart/main.go", "package main\n")
        self.write("app/cart/main_test.go", "package main\n")
        self.write("app/cart/go.sum", "h1:abc\n")
        self.write("app/pycore/Makefile", "lint:\n\t@true\ntest:\n\t@echo '3 passed in 0.10s'\n")
        self.write("app/pycore/src/common.py", "")
        self.write("app/pycore/tests/test_common.py", "")
        self.write("k8s/ingress/Makefile", "lint test test-api:\n\t@true\n")
        self.write("k8s/addons/ingress.yaml", "")

    def write(self, name: str, text: str) -> None:
        path = self.paths.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def steps(self, *, skip: bool = True) -> list[Step]:
        goals = ("lint", "test")
        ingress = ingress_steps(self.paths, (*goals, "test-api"), skip=skip)
        return [*service_steps(self.paths, goals, skip=skip), *ingress]

    def run(self, *, skip: bool = True) -> dict[str, Outcome]:
        """Run all checks and return what became of each."""
        names = ("base-image", "venv", "kubernetes", "etcd")
        with (self.paths.root / "out").open("w") as out:
            terminal = Terminal(out, live=False)
            steps = [*(Step(name, nothing) for name in names), *self.steps(skip=skip)]
            outcomes = Runner(self.paths.logs, terminal).run(steps)
            terminal.close()
        return {outcome.name: outcome for outcome in outcomes if outcome.name not in names}

    def ran(self, *, skip: bool = True) -> set[str]:
        """Run all checks and return the names of those that were not skipped."""
        outcomes = self.run(skip=skip)
        assert {outcome.state for outcome in outcomes.values()} <= {"done", "present"}
        return {name for name, outcome in outcomes.items() if outcome.state == "done"}


ALL = {"cart-check", "pycore-lint", "pycore-test", "ingress-lint", "ingress-test"}
ALL |= {"ingress-test-api"}
INGRESS = {name for name in ALL if name.startswith("ingress")}


async def nothing(context: StepContext) -> None:
    """Do nothing."""


@dataclasses.dataclass
class Host:
    """What stands in for buildah, the base image and the host's tools."""

    base: BaseImage
    fails: bool = False
    during: Callable[[], None] = lambda: None
    versions: dict[str, str] = dataclasses.field(default_factory=dict)

    async def build(
        self,
        buildah: Buildah,
        context: StepContext,
        directory: Path,
        ref: str,
        *,
        arguments: Mapping[str, str],
        target: str | None = None,
    ) -> None:
        """Run the stage: twelve tests pass, and then it may fail."""
        context.log("=== 12 passed in 0.34s ===")
        self.during()
        if self.fails:
            raise StepError("buildah build exited with 1")

    def capture(
        self, command: str | Path, *words: str, env: Mapping[str, str] | None = None
    ) -> str:
        """Say a tool's version."""
        return self.versions.get(Path(command).name, "1.0") + "\n"


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    found = Host(BaseImage("registry/base:1", "sha256:1", "mmdebstrap", (), 1))

    async def build(self: Buildah, *args: object, **more: object) -> None:
        await found.build(self, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Buildah, "build", build)
    monkeypatch.setattr(service_checks, "have_base", lambda paths: found.base)
    monkeypatch.setattr(service_checks, "capture", found.capture)
    # No repository: the files are those that are there.
    monkeypatch.setattr(sources, "capture", lambda *argv: "")
    return found


def clone_in(directory: Path, cache: Path) -> Clone:
    directory.mkdir()
    return Clone(directory, cache)


@pytest.fixture
def clone(tmp_path: Path, host: Host) -> Clone:
    clone = clone_in(tmp_path / "clone", tmp_path / "cache")
    for tool in service_checks.API_SERVER:
        binary = tool_path(clone.paths, tool)
        binary.parent.mkdir(parents=True)
        binary.touch(0o755)
    return clone


def test_what_has_passed_is_not_run_again(clone: Clone) -> None:
    assert clone.ran() == ALL
    assert clone.ran() == set()


@pytest.mark.parametrize(
    ("name", "text", "again"),
    [
        ("app/cart/main.go", "package cart\n", {"cart-check", "pycore-lint", "pycore-test"}),
        ("app/cart/main_test.go", "// 2\n", {"cart-check", "pycore-lint", "pycore-test"}),
        ("app/cart/go.sum", "h1:abd\n", {"cart-check", "pycore-lint", "pycore-test"}),
        ("app/cart/Dockerfile", DOCKERFILE + "#", {"cart-check", "pycore-lint", "pycore-test"}),
        ("app/cart/new.go", "package main\n", {"cart-check", "pycore-lint", "pycore-test"}),
        ("app/pycore/src/common.py", "1\n", {"cart-check", "pycore-lint", "pycore-test"}),
        # Read by the tests of what services have in common, and by no service.
        ("app/contract/openapi.yaml", "paths:\n", {"pycore-lint", "pycore-test"}),
        ("k8s/ingress/cmd/main.go", "package main\n", INGRESS),
        ("k8s/ingress/tools.mod", "module tools\n", INGRESS),
        ("k8s/ingress/Makefile", "lint test test-api:\n\t@echo\n", INGRESS),
        ("k8s/addons/ingress.yaml", "kind: x\n", INGRESS),
        ("toolchain/go/etcd/go.mod", "module etcd\n", {"ingress-test-api"}),
        ("docs/services.md", "text\n", set()),
        ("shop/catalogue.py", "1\n", set()),
    ],
)
def test_a_change_of_a_file_runs_the_checks_that_read_it(
    clone: Clone, name: str, text: str, again: set[str]
) -> None:
    clone.ran()
    clone.write(name, text)
    assert clone.ran() == again
    assert clone.ran() == set()


def test_a_file_that_becomes_executable_or_goes_is_a_change(clone: Clone) -> None:
    clone.ran()
    (clone.paths.root / "app/cart/main.go").chmod(0o755)
    assert "cart-check" in clone.ran()
    (clone.paths.root / "app/cart/main_test.go").unlink()
    assert "cart-check" in clone.ran()


def test_a_service_without_the_common_package_does_not_depend_on_it(clone: Clone) -> None:
    clone.write("app/cart/Dockerfile", DOCKERFILE.replace("COPY pycore /pycore\n", ""))
    clone.ran()
    clone.write("app/pycore/src/common.py", "1\n")
    assert "cart-check" not in clone.ran()


def test_another_base_image_runs_the_stages_that_are_built_on_it(clone: Clone, host: Host) -> None:
    clone.ran()
    host.base = dataclasses.replace(host.base, digest="sha256:2")
    assert clone.ran() == {"cart-check"}


@pytest.mark.parametrize(
    ("tool", "again"),
    [
        ("buildah", {"cart-check"}),
        ("make", ALL - {"cart-check"}),
        ("python3", {"pycore-lint", "pycore-test"}),
        ("go", INGRESS),
    ],
)
def test_another_version_of_a_tool_runs_what_the_host_lends_it_to(
    clone: Clone, host: Host, tool: str, again: set[str]
) -> None:
    clone.ran()
    host.versions[tool] = "1.1"
    assert clone.ran() == again


def test_another_version_of_the_api_server_runs_its_tests(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone.ran()
    newer = dataclasses.replace(TOOLS["etcd"], version="99.1")
    binary = clone.paths.tools / "etcd" / "99.1" / newer.binary
    binary.parent.mkdir(parents=True)
    binary.touch(0o755)
    monkeypatch.setitem(TOOLS, "etcd", newer)
    assert clone.ran() == {"ingress-test-api"}


def test_another_way_of_running_a_check_runs_all(
    clone: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {path.name for path in service_checks._CODE if path.is_file()} == {
        *("service_checks.py", "buildah.py", "recipes.py")
    }
    code = tmp_path / "buildah.py"
    code.write_text("1\n")
    monkeypatch.setattr(service_checks, "_CODE", (code,))
    assert clone.ran() == ALL
    code.write_text("2\n")
    assert clone.ran() == ALL
    assert clone.ran() == set()


def test_a_clone_takes_what_another_one_has_checked(clone: Clone, tmp_path: Path) -> None:
    clone.ran()
    other = clone_in(tmp_path / "other", clone.paths.cache)
    assert other.ran() == set()
    # And the other way about: with its own change each finds its own.
    other.write("app/cart/main.go", "package other\n")
    assert "cart-check" in other.ran()
    assert (clone.ran(), other.ran()) == (set(), set())


def test_what_fails_leaves_no_record(clone: Clone, host: Host) -> None:
    host.fails = True
    assert clone.run()["cart-check"].state == "failed"
    assert not list(clone.paths.checks.glob("cart-check/*"))
    assert clone.run()["cart-check"].state == "failed"
    host.fails = False
    assert "cart-check" in clone.ran()


def test_a_change_while_it_runs_leaves_no_record(clone: Clone, host: Host) -> None:
    host.during = lambda: clone.write("app/cart/main.go", "package changed\n")
    assert "cart-check" in clone.ran()
    assert "not kept" in (clone.paths.logs / "cart-check.log").read_text()
    assert "cart-check" in clone.ran()
    assert "cart-check" not in clone.ran()


def test_a_record_that_cannot_be_kept_fails_no_check(clone: Clone) -> None:
    clone.paths.cache.mkdir(exist_ok=True)
    clone.paths.checks.write_text("a file where the directory should be\n")
    assert clone.ran() == ALL
    assert "not kept" in (clone.paths.logs / "cart-check.log").read_text()


def test_without_skipping_all_run(clone: Clone) -> None:
    clone.ran()
    assert clone.ran(skip=False) == ALL
    assert clone.ran() == set()


def test_the_line_of_what_is_skipped_says_what_passed_and_when(clone: Clone) -> None:
    done = {name: outcome.detail for name, outcome in clone.run().items()}
    assert done == {
        "cart-check": "lint, 12 tests passed",
        "pycore-lint": "lint passed",
        "pycore-test": "3 tests passed",
        "ingress-lint": "lint passed",
        "ingress-test": "tests passed",
        "ingress-test-api": "tests passed",
    }
    for name, outcome in clone.run().items():
        assert outcome.state == "present"
        (log,) = clone.paths.checks.glob(f"{name}/*.log")
        record = json.loads(log.with_suffix(".json").read_text())
        day = datetime.fromisoformat(record["ended_at"]).astimezone().date()
        assert outcome.detail == f"{done[name]} on {day} (unchanged since; kept: {log})"


def test_what_a_run_printed_is_kept_with_what_it_was_run_with(clone: Clone, host: Host) -> None:
    host.versions["buildah"] = "buildah version 1.39.3"
    clone.ran()
    (log,) = clone.paths.checks.glob("cart-check/*.log")
    assert log.read_text() == "=== 12 passed in 0.34s ===\n"
    record = json.loads(log.with_suffix(".json").read_text())
    assert record["tests"] == 12
    assert record["took_s"] >= 0
    assert record["tools"] == {"base image": "sha256:1", "buildah": "buildah version 1.39.3"}


def test_what_another_clone_prints_at_the_same_time_is_not_kept(
    clone: Clone, host: Host, tmp_path: Path
) -> None:
    """Logs go by the step's name, so two clones at work have one of the same name."""
    other = clone_in(tmp_path / "other", clone.paths.cache)
    other.write("app/cart/main.go", "package other\n")

    def meanwhile() -> None:
        host.during = lambda: None
        [step] = [step for step in other.steps() if step.name == "cart-check"]
        with (tmp_path / "out").open("w") as out:
            terminal = Terminal(out, live=False)
            Runner(other.paths.logs, terminal).run([Step("base-image", nothing), step])
            terminal.close()

    def in_a_thread() -> None:
        thread = threading.Thread(target=meanwhile)  # With an event loop of its own.
        thread.start()
        thread.join()

    host.during = in_a_thread
    assert "cart-check" in clone.ran()
    logs = [log.read_text() for log in clone.paths.checks.glob("cart-check/*.log")]
    assert logs == ["=== 12 passed in 0.34s ===\n"] * 2


PASSED = Passed("lint, 143 tests passed", 143, "2026-11-30T12:00:00+00:00", 81.5, {"go": "go1.24"})


class TestRecords:
    """A record and a log for each key."""

    @pytest.fixture
    def records(self, tmp_path: Path) -> Records:
        return Records(tmp_path / "checks" / "cart-check")

    def test_what_is_kept_is_found_by_its_key_alone(self, records: Records) -> None:
        records.keep("0123456789ab", PASSED, "ok\n")
        assert records.find("0123456789ab") == PASSED
        assert records.find("0123456789ac") is None
        log = records.log("0123456789ab")
        assert log.read_text() == "ok\n"
        assert describe(PASSED, log) == (
            f"lint, 143 tests passed on 2026-11-30 (unchanged since; kept: {log})"
        )

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "[]",
            "{}",
            '{"summary": "lint pas',
            json.dumps({**dataclasses.asdict(PASSED), "ended_at": "yesterday"}),
            json.dumps({**dataclasses.asdict(PASSED), "summary": None}),
            json.dumps({**dataclasses.asdict(PASSED), "further": 1}),
            "\udcff",
        ],
    )
    def test_a_damaged_record_counts_as_none(self, records: Records, text: str) -> None:
        records.keep("0123456789ab", PASSED, "ok\n")
        (record,) = records.directory.glob("*.json")
        record.write_text(text, errors="surrogateescape")
        assert records.find("0123456789ab") is None
        records.keep("0123456789ab", PASSED, "ok\n")
        assert records.find("0123456789ab") == PASSED

    def test_a_record_without_its_log_counts_as_none(self, records: Records) -> None:
        records.keep("0123456789ab", PASSED, "ok\n")
        records.log("0123456789ab").unlink()
        assert records.find("0123456789ab") is None

    def test_the_newest_are_kept_and_nothing_else(self, records: Records) -> None:
        keys = [f"{number:012x}" for number in range(KEPT + 3)]
        write_text(records.directory / "leftover.log", "of a run that was killed\n")
        os.utime(records.directory / "leftover.log", (1, 1))
        for number, key in enumerate(keys):
            records.keep(key, PASSED, "ok\n")
            for path in records.directory.glob(f"{key}.*"):
                os.utime(path, (100 + number, 100 + number))
        records.keep(keys[-1], PASSED, "ok\n")
        found = {path.name for path in records.directory.iterdir()}
        kept = keys[-KEPT:]
        assert found == {f"{key}.{kind}" for key in kept for kind in ("log", "json")}

    def test_a_name_that_begins_like_another_keeps_its_own(self, tmp_path: Path) -> None:
        short, long = (Records(tmp_path / name) for name in ("ingress-test", "ingress-test-api"))
        long.keep("0123456789ab", PASSED, "ok\n")
        for number in range(2 * KEPT):
            short.keep(f"{number:012x}", PASSED, "ok\n")
        assert long.find("0123456789ab") == PASSED
        assert short.find("0123456789ab") is None


def test_the_same_files_under_another_name_are_another_check(clone: Clone) -> None:
    clone.ran()
    keys = [path.stem for path in clone.paths.checks.glob("*/*.json")]
    assert len(set(keys)) == len(keys) == len(ALL)


class TestCommandLine:
    """`--no-skip` reaches the steps of each goal that has them, and the run beside pytest."""

    @pytest.fixture
    def asked(self, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
        found: list[bool] = []

        def own_steps(paths: Paths, *, tests: bool, skip: bool) -> list[Step]:
            found.append(skip)
            return []

        monkeypatch.setattr(main, "own_steps", own_steps)
        monkeypatch.setattr(main, "run_steps", lambda paths, steps, **more: 0)
        monkeypatch.setattr(main, "_needs_root", lambda goal: False)
        for name in ("lint_steps", "check_steps", "build_steps", "test_steps"):
            monkeypatch.setattr(graph, name, lambda *args, **more: [])
        monkeypatch.setattr(checks, "lint_steps", lambda *args: [])
        monkeypatch.setattr(checks, "run_tests", lambda *args, no_skip, **more: int(no_skip))
        return found

    @pytest.mark.parametrize("goal", ["lint", "checks"])
    def test_of_the_goal(self, asked: list[bool], goal: str) -> None:
        assert main.main([goal]) == 0
        assert main.main([goal, "--no-skip"]) == 0
        assert asked == [True, False]

    def test_of_the_tests(self, asked: list[bool]) -> None:
        """It is a suite there: the runner hands it on."""
        assert main.main(["test"]) == 0
        assert main.main(["test", "-mdocker"]) == 0
        assert main.main(["test", "--no-skip", "-mdocker"]) == 1
        assert asked == []

    def test_it_is_refused_where_there_is_nothing_to_skip(
        self, asked: list[bool], capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit):
            main.main(["build", "--no-skip"])
        assert "--no-skip is for lint, test, checks" in capsys.readouterr().err
