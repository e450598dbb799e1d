"""The services of `app/` and the Ingress controller lint and test themselves.

What passed is not run again as long as nothing that it depends on has changed: the key of a check
is over the files that it can read, the tools that the host lends it, the image that it is built on,
and our own code that runs it. Not in it: Debian's packages inside a check stage, which are those of
the day that its layers were built, and the user's environment.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from toolchain.artefacts import BASE, recipes
from toolchain.artefacts.build import have_base
from toolchain.artefacts.images import BaseImage
from toolchain.artefacts.keys import digest_files
from toolchain.buildah import Buildah
from toolchain.check_records import Passed, Records, describe
from toolchain.errors import ToolchainError
from toolchain.host import SEARCH_PATH, capture
from toolchain.paths import Paths
from toolchain.sources import source_files
from toolchain.steps import Step, StepContext, StepError
from toolchain.tools import TOOLS, go_command, go_environment, source_key, tool_path

_SERVICES: Final = "service"

#: Our own files that decide how a check is run.
_CODE: Final = tuple(
    Path(__file__).parent / name
    for name in ("service_checks.py", "buildah.py", "artefacts/recipes.py")
)

#: An API server for the Ingress controller's tests: the tools, and the names they go by there.
API_SERVER = {"kubernetes": "kube-apiserver", "etcd": "etcd"}


def own_steps(paths: Paths, *, tests: bool, skip: bool = True) -> list[Step]:
    """Return the steps by which all that has its own linters, and tests, checks itself.

    Without `skip` all of them run, also those that have passed with what they depend on.
    """
    goals = ("lint", "test") if tests else ("lint",)
    api = ("test-api",) if tests else ()
    return [
        *service_steps(paths, goals, skip=skip),
        *ingress_steps(paths, (*goals, *api), skip=skip),
    ]


def service_steps(paths: Paths, goals: Sequence[str], *, skip: bool = True) -> list[Step]:
    """Return the steps by which the folders of `app/` lint and test themselves, one at a time.

    One with a stage `check` in its Dockerfile does both in it, with its language's own tools at the
    versions it ships with; one with a Makefile alone has a step for each of the goals.
    """
    checks = []
    for directory in sorted(path for path in (paths.root / "app").glob("*") if path.is_dir()):
        if recipes.has_stage(paths.root, directory.name, "check"):
            checks.append(_stage(paths, directory.name))
        elif (directory / "Makefile").is_file():
            checks += [
                _make(paths, directory, goal)
                for goal in goals
                if goal == "lint" or any((directory / "tests").rglob("test_*.py"))
            ]
    return [_step(paths, check, skip=skip) for check in checks]


def ingress_steps(paths: Paths, goals: Sequence[str], *, skip: bool = True) -> list[Step]:
    """Return the steps by which the Ingress controller of `k8s/` lints and tests itself."""
    return [_step(paths, _ingress(paths, goal), skip=skip) for goal in goals]


@dataclass(frozen=True)
class Inputs:
    """What a check depends on: a key over all of it, and of that the tools, by name."""

    key: str
    tools: Mapping[str, str]

    @classmethod
    def of(cls, name: str, files: Mapping[str, Path], tools: Mapping[str, str]) -> Inputs:
        """Return those of the check of this name."""
        code = digest_files({path.name: path for path in _CODE})
        told = (f"{tool} {version}" for tool, version in sorted(tools.items()))
        return cls(digest_files(files, name, code, *told), tools)


@dataclass(frozen=True)
class Check:
    """One way in which a part of the shop checks itself. Its `inputs` are those at the moment."""

    name: str
    goals: tuple[str, ...]
    inputs: Callable[[], Inputs]
    run: Callable[[StepContext], Awaitable[None]]
    needs: tuple[str, ...]

    def summary(self, passed: int) -> str:
        """Return what to say of it when it has passed; `passed` tests were counted."""
        parts = ["lint"] if "lint" in self.goals else []
        if self.goals != ("lint",):
            parts.append(f"{passed} tests" if passed else "tests")
        return ", ".join(parts) + " passed"


def _step(paths: Paths, check: Check, *, skip: bool) -> Step:
    records = Records(paths.checks / check.name)

    def is_done() -> bool | str:
        if not skip:
            return False
        key = check.inputs().key
        passed = records.find(key)
        return passed is not None and describe(passed, records.log(key))

    async def run(context: StepContext) -> None:
        inputs = await context.thread(check.inputs)
        started_s = time.monotonic()
        await check.run(context)
        took_s = round(time.monotonic() - started_s, 1)
        log = await context.thread(context.written)
        tests = tests_passed(log)
        context.conclude(check.summary(tests))
        ended_at = datetime.now(UTC).isoformat(timespec="seconds")
        passed = Passed(check.summary(tests), tests, ended_at, took_s, inputs.tools)
        try:
            if await context.thread(check.inputs) == inputs:
                await context.thread(records.keep, inputs.key, passed, log)
            else:
                context.log("not kept: something changed meanwhile, and which of the two passed?")
        except (OSError, ToolchainError) as error:
            # It has passed all the same; it will run once more.
            context.log(f"not kept: {error}")

    detail = " and ".join(check.goals)
    return Step(*(check.name, run, check.needs, is_done), detail=detail, lock=_SERVICES, heavy=True)


def _stage(paths: Paths, name: str) -> Check:
    """Return the check of a service by a stage of its Dockerfile, which sees its context alone."""

    def inputs() -> Inputs:
        tools = {
            "base image": have_base(paths).digest,
            "buildah": _version("buildah", "--version"),
        }
        return Inputs.of(f"{name}-check", recipes.context_files(paths.root, name), tools)

    async def run(context: StepContext) -> None:
        base = await context.thread(have_base, paths)
        buildah = await Buildah.of(context, paths)
        await check_image(context, buildah, root=paths.root, name=name, base=base)

    return Check(f"{name}-check", ("lint", "test"), inputs, run, (BASE,))


def _make(paths: Paths, directory: Path, goal: str) -> Check:
    """Return the check of a service by a goal of its Makefile.

    It runs in the clone, where the tests of what services have in common read the services.
    """
    name = f"{directory.name}-{goal}"

    def inputs() -> Inputs:
        tools = {command: _version(command, "--version") for command in ("make", "python3")}
        return Inputs.of(name, source_files(paths.root, "app"), tools)

    async def run(context: StepContext) -> None:
        await context.run("make", "--directory", directory, goal)

    return Check(name, (goal,), inputs, run, ("venv",))


def _ingress(paths: Paths, goal: str) -> Check:
    """Return the check of the Ingress controller by a goal of its Makefile.

    Its tests read the manifest that it is installed by, in the folder beside its own.
    """
    name = f"ingress-{goal}"
    needed = tuple(API_SERVER) if goal == "test-api" else ()

    def inputs() -> Inputs:
        # Which Go it fetches if the host's is older, go.mod says.
        version = _version(go_command(), "version", env={"GOTOOLCHAIN": "local"})
        tools = {"make": _version("make", "--version"), "go": version}
        tools["go's environment"] = str(sorted(go_environment().items()))
        for tool in needed:
            tools[tool] = f"{TOOLS[tool].version} {source_key(paths.root, TOOLS[tool])}"
        return Inputs.of(name, source_files(paths.root, "k8s"), tools)

    async def run(context: StepContext) -> None:
        go = await context.thread(go_command)
        environment = go_environment()
        environment["PATH"] = f"{go.parent}{os.pathsep}{SEARCH_PATH}"
        if needed:
            environment["KUBEBUILDER_ASSETS"] = str(_api_server(paths))
        await context.run(
            "make", "--directory", paths.root / TOOLS["ingress"].source, goal, env=environment
        )

    return Check(name, (goal,), inputs, run, needed)


def _version(command: str | Path, *words: str, env: Mapping[str, str] | None = None) -> str:
    """Return the first line of what a tool says of its version; empty if it is not there."""
    return capture(command, *words, env=env).partition("\n")[0]


async def check_image(
    context: StepContext, buildah: Buildah, *, root: Path, name: str, base: BaseImage
) -> None:
    """Run a service's linters and tests: the stage `check` of its Dockerfile.

    CHECK_RUN is another one each time, so that what follows its declaration is always run. Raises
    StepError where it is not declared: what comes from the cache proves nothing.
    """
    if not re.search(r"^ARG CHECK_RUN$", recipes.dockerfile(root, name), re.MULTILINE):
        raise StepError(f"app/{name}/Dockerfile has no ARG CHECK_RUN", "see docs/services.md")
    with recipes.build_directory() as build:
        await context.thread(recipes.assemble, build, recipes.context_files(root, name))
        await buildah.build(
            context,
            build,
            f"localhost/triptych/check-{name}",
            arguments={"BASE": base.ref, "CHECK_RUN": str(time.time_ns())},
            target="check",
        )


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


def _api_server(paths: Paths) -> Path:
    """Return a directory in which the API server's programs have the names they go by."""
    directory = paths.state / "api-server"
    directory.mkdir(parents=True, exist_ok=True)
    for tool, name in API_SERVER.items():
        link = directory / name
        link.unlink(missing_ok=True)
        link.symlink_to(tool_path(paths, tool).resolve())
    return directory
