"""`make lint` and `make test`: linters beside each other, then pytest over everything."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

from toolchain.artefacts import BASE, recipes
from toolchain.artefacts.build import have_base
from toolchain.artefacts.images import check_image
from toolchain.buildah import Buildah
from toolchain.envfile import variables
from toolchain.errors import ToolchainError
from toolchain.host import SEARCH_PATH
from toolchain.paths import Paths
from toolchain.sources import source_files
from toolchain.steps import Step, StepContext
from toolchain.tools import TOOLS, go_command, go_environment, tool_path

# In this order: what fails fast first, what deploys real stacks last.
TEST_FOLDERS = ("unit", "plugins", "gateway", "contract", "browser", "e2e")


def shell_scripts(files: Sequence[Path]) -> list[Path]:
    """Return the shell scripts: by `.sh`, or by a first line that names sh or bash."""
    found = []
    for path in files:
        if path.suffix == ".sh":
            found.append(path)
        elif not path.suffix:
            with path.open("rb") as script:
                first = script.readline(64)
            if first.startswith(b"#!") and first.split()[-1].endswith((b"/sh", b"bash", b" sh")):
                found.append(path)
    return sorted(found)


def dockerfiles(files: Sequence[Path]) -> list[Path]:
    """Return the Dockerfiles."""
    return sorted(
        path for path in files if path.name == "Dockerfile" or path.suffix == ".Dockerfile"
    )


def lint_steps(paths: Paths, needs: tuple[str, ...] = ("venv",)) -> list[Step]:
    """Return a step per linter."""
    files = list(source_files(paths.root).values())
    commands: dict[str, list[str]] = {
        "ruff-format": ["ruff", "format", "--check", "--output-format", "concise", "."],
        "ruff-check": ["ruff", "check", "--output-format", "concise", "."],
        "mypy": ["mypy", *_mypy_targets(paths.root)],
    }
    if scripts := shell_scripts(files):
        commands["shellcheck"] = ["shellcheck", *(str(path) for path in scripts)]
    # Those of the tests are recorded from elsewhere: not shipped, and not ours to change.
    shipped = [path for path in files if not path.is_relative_to(paths.root / "tests")]
    if images := dockerfiles(shipped):
        commands["hadolint"] = ["hadolint", *(str(path) for path in images)]
    return [_lint(paths, name, command, needs) for name, command in commands.items()]


def service_steps(paths: Paths, goals: Sequence[str]) -> list[Step]:
    """Return the steps by which the folders of `app/` lint and test themselves, one at a time.

    One with a stage `check` in its Dockerfile does both in it, with its language's own tools at the
    versions it ships with; one with a Makefile alone has a step for each of the goals.
    """
    steps = []
    for directory in sorted(path for path in (paths.root / "app").glob("*") if path.is_dir()):
        if recipes.has_stage(paths.root, directory.name, "check"):
            steps.append(_check(paths, directory.name))
        elif (directory / "Makefile").is_file():
            steps += [
                _make(directory, goal)
                for goal in goals
                if goal == "lint" or any((directory / "tests").rglob("test_*.py"))
            ]
    return steps


_SERVICES = "service"


def _check(paths: Paths, name: str) -> Step:
    async def run(context: StepContext) -> None:
        base = await context.thread(have_base, paths)
        buildah = await Buildah.of(context, paths)
        await check_image(context, buildah, root=paths.root, name=name, base=base)
        passed = tests_passed(await context.thread(context.log_path.read_text, errors="replace"))
        context.conclude(f"lint, {passed} tests passed" if passed else "lint and tests")

    needs = (BASE,)
    return Step(f"{name}-check", run, needs, detail="lint and tests", lock=_SERVICES, heavy=True)


#: How each runner says how many tests passed.
_PASSED = (
    re.compile(r"^=* ?(\d+) passed\b.* in [\d.]+s", re.MULTILINE),  # pytest
    re.compile(r"^\s*Tests\s+(\d+) passed", re.MULTILINE),  # vitest
    re.compile(r"^(?:#|\u2139) pass (\d+)$", re.MULTILINE),  # node --test
    re.compile(r"Tests run: (\d+), Failures: 0, Errors: 0, Skipped: 0$", re.MULTILINE),  # surefire
)
_GO_PASSED = re.compile(r"^\s*--- PASS: ", re.MULTILINE)


def tests_passed(log: str) -> int:
    """Return how many tests passed by what the runners say in a log; 0 if none says it."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", log)
    counts = [int(number) for pattern in _PASSED for number in pattern.findall(plain)]
    return sum(counts) + len(_GO_PASSED.findall(plain))


def _make(directory: Path, goal: str) -> Step:
    async def run(context: StepContext) -> None:
        await context.run("make", "--directory", directory, goal)

    return Step(f"{directory.name}-{goal}", run, ("venv",), detail=goal, lock=_SERVICES, heavy=True)


#: An API server for the Ingress controller's tests: the tools, and the names they go by there.
API_SERVER = {"kubernetes": "kube-apiserver", "etcd": "etcd"}


def ingress_steps(paths: Paths, goals: Sequence[str]) -> list[Step]:
    """Return the steps by which the Ingress controller of `k8s/` lints and tests itself."""
    return [_ingress(paths, goal) for goal in goals]


def own_steps(paths: Paths, *, tests: bool) -> list[Step]:
    """Return the steps by which all that has its own linters, and tests, checks itself."""
    goals = ("lint", "test") if tests else ("lint",)
    api = ("test-api",) if tests else ()
    return [*service_steps(paths, goals), *ingress_steps(paths, (*goals, *api))]


def _ingress(paths: Paths, goal: str) -> Step:
    api = goal == "test-api"

    async def run(context: StepContext) -> None:
        go = await context.thread(go_command)
        environment = go_environment()
        environment["PATH"] = f"{go.parent}{os.pathsep}{SEARCH_PATH}"
        if api:
            environment["KUBEBUILDER_ASSETS"] = str(_api_server(paths))
        await context.run(
            "make", "--directory", paths.root / TOOLS["ingress"].source, goal, env=environment
        )

    needs = tuple(API_SERVER) if api else ()
    return Step(f"ingress-{goal}", run, needs, detail=goal, lock=_SERVICES, heavy=True)


def _api_server(paths: Paths) -> Path:
    """Return a directory in which the API server's programs have the names they go by."""
    directory = paths.state / "api-server"
    directory.mkdir(parents=True, exist_ok=True)
    for tool, name in API_SERVER.items():
        link = directory / name
        link.unlink(missing_ok=True)
        link.symlink_to(tool_path(paths, tool).resolve())
    return directory


def _mypy_targets(root: Path) -> list[str]:
    """Return what mypy checks: our packages and top-level modules, not the tests' helpers."""
    packages = sorted(
        path.parent.name for path in root.glob("*/__init__.py") if path.parent.name != "tests"
    )
    return [*packages, *sorted(path.name for path in root.glob("*.py"))]


def _lint(paths: Paths, name: str, command: list[str], needs: tuple[str, ...]) -> Step:
    async def run(context: StepContext) -> None:
        await context.run(paths.venv / "bin" / command[0], *command[1:], cwd=paths.root)

    return Step(name, run, needs, detail="lint")


def test_arguments(root: Path) -> list[str]:
    """Return pytest's arguments: the folders of tests that are there, in order."""
    tests = [f"tests/{name}" for name in TEST_FOLDERS if (root / "tests" / name).is_dir()]
    if not tests:
        raise ToolchainError("there are no tests in tests/")
    return tests


#: pytest's exit code where no test was chosen.
_NO_TESTS = 5


def chooses(extra: Sequence[str]) -> bool:
    """Tell whether arguments for pytest have a choice of markers."""
    return any(word.startswith("-m") for word in extra)


def run_tests(paths: Paths, extra: Sequence[str] = ()) -> int:
    """Run all tests; return the first exit code that is none of success.

    Those of the marker `machine` run in a second pytest beside the others: an emulated machine
    keeps them waiting, not the host busy. So do the services' own checks. What these two print is
    shown after the first has ended, then all that failed in one list. If `extra` has a choice of
    markers, one pytest runs it alone.
    """
    environment = {**os.environ, **variables(paths)}
    environment.pop("PULUMI_CONFIG_PASSPHRASE", None)
    places = f"{paths.bin}{os.pathsep}{paths.venv / 'bin'}"
    environment["PATH"] = places + os.pathsep + environment.get("PATH", "")
    argv = [str(paths.venv / "bin" / "python"), "-m", "pytest", *test_arguments(paths.root), *extra]

    def run(*more: str) -> int:
        return subprocess.run(
            [*argv, *more], cwd=paths.root, env=environment, check=False
        ).returncode

    if chooses(extra):
        return run()
    records = [paths.state / f"tests-{lane}.xml" for lane in ("others", "machines")]
    for record in records:
        record.parent.mkdir(parents=True, exist_ok=True)
        record.unlink(missing_ok=True)
    others, machines = (f"--junit-xml={record}" for record in records)
    # With what the others leave of the host: an emulated machine that waits long looks dead.
    own = ["nice", "-n", "10", sys.executable, "-m", "toolchain", "checks"]
    with contextlib.ExitStack() as lanes:
        services = lanes.enter_context(_beside(paths, "checks of services", own, os.environ))
        emulated = lanes.enter_context(
            _beside(paths, "tests of machines", [*argv, machines, "-m", "machine"], environment)
        )
        codes = [run(others, "-m", "not machine"), services(), emulated()]
    if said := [line for record in records for line in failures(record)]:
        print("\nAll that failed in pytest:", *said, sep="\n", flush=True)
    none = codes[0] == codes[2] == _NO_TESTS
    return next((code for code in codes if code not in (0, _NO_TESTS)), _NO_TESTS if none else 0)


def failures(record: Path) -> list[str]:
    """Return the tests that failed by pytest's XML record, each with the beginning of the reason.

    Empty if the record is missing or cut off.
    """
    try:
        cases = list(ElementTree.parse(record).iter("testcase"))
    except (OSError, ElementTree.ParseError):
        return []
    found = []
    for case in cases:
        for outcome in (*case.iter("failure"), *case.iter("error")):
            name = f"{case.get('classname', '')}.{case.get('name', '')}"
            reason = " ".join(outcome.get("message", "").split())
            found.append(f"- {name}: {textwrap.shorten(reason, 600)}")
    return found


@contextlib.contextmanager
def _beside(
    paths: Paths, what: str, argv: Sequence[str], environment: Mapping[str, str]
) -> Iterator[Callable[[], int]]:
    """Run a command beside others; give what shows its output to its end and returns its code."""
    paths.logs.mkdir(parents=True, exist_ok=True)
    log = paths.logs / f"{what.replace(' ', '-')}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            argv, cwd=paths.root, env=environment, stdout=output, stderr=subprocess.STDOUT
        )

    def show() -> int:
        print(f"\n{what}, which ran beside those (log: {log})", flush=True)
        with log.open("rb") as written:
            while True:
                ended = process.poll() is not None
                sys.stdout.write(written.read().decode(errors="replace"))
                sys.stdout.flush()
                if ended:
                    return process.returncode
                time.sleep(1)

    try:
        yield show
    finally:
        # After Ctrl-C, which it got as well, it takes away what it made.
        process.wait()
