"""`make lint` and `make test`: linters beside each other, then pytest over everything."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from toolchain.envfile import variables
from toolchain.paths import Paths
from toolchain.sources import source_files
from toolchain.steps import Step, StepContext


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


def _mypy_targets(root: Path) -> list[str]:
    """Return what mypy checks: our packages, the tests among them, and top-level modules."""
    packages = sorted(path.parent.name for path in root.glob("*/__init__.py"))
    return [*packages, *sorted(path.name for path in root.glob("*.py"))]


def _lint(paths: Paths, name: str, command: list[str], needs: tuple[str, ...]) -> Step:
    async def run(context: StepContext) -> None:
        await context.run(paths.venv / "bin" / command[0], *command[1:], cwd=paths.root)

    return Step(name, run, needs, detail="lint")


#: How long a run may take where it is cut off otherwise, with the builds before it (seconds).
CI_LIMIT_S = 80 * 60.0
#: When `make` began, in seconds since 1970, as bootstrap.sh says.
STARTED_VARIABLE = "TRIPTYCH_STARTED_S"


def deadline_s(environ: Mapping[str, str]) -> float | None:
    """Return when a run has to end by itself (seconds since 1970); None outside of CI."""
    if environ.get("CI") != "true":
        return None
    return float(environ.get(STARTED_VARIABLE) or time.time()) + CI_LIMIT_S


def run_tests(
    paths: Paths, extra: Sequence[str] = (), *, suites: str = "", no_skip: bool = False
) -> int:
    """Run all tests, or the suites that are named; return the exit code. `extra` is pytest's."""
    environment = {**os.environ, **variables(paths)}
    environment.pop("PULUMI_CONFIG_PASSPHRASE", None)
    places = f"{paths.bin}{os.pathsep}{paths.venv / 'bin'}"
    environment["PATH"] = places + os.pathsep + environment.get("PATH", "")
    argv = [str(paths.venv / "bin" / "python"), "-m", "tests.runner"]
    argv += ["--times", str(paths.logs / "tests.json"), "--suites", suites]
    argv += ["--no-skip"] if no_skip else []
    if deadline := deadline_s(os.environ):
        argv += ["--deadline", str(deadline)]
    sys.stdout.flush()
    with contextlib.suppress(KeyboardInterrupt):
        process = subprocess.Popen([*argv, "--", *extra], cwd=paths.root, env=environment)
        return process.wait()
    # It got Ctrl-C as well, and takes away what it made.
    return process.wait()
