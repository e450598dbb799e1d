"""The steps of `setup`, `build` and `bench-tools`, put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from shop.catalogue import MODELS
from toolchain import artefacts, plugins
from toolchain.accelerator import accelerator_step
from toolchain.artefacts import node
from toolchain.artefacts.keys import ADD_ONS, NODE_TOOLS, STORAGE
from toolchain.daemons import dockerd_step, libvirtd_step, registry_step
from toolchain.debian import TEST_NEEDS, VENV_NEEDS, packages_step
from toolchain.errors import ToolchainError
from toolchain.paths import Paths
from toolchain.plugins import plugins_step
from toolchain.python_env import venv_step
from toolchain.service_checks import API_SERVER
from toolchain.steps import Step, closure
from toolchain.tools import TOOLS, have, tool_step

PACKAGES = "debian-packages"
PROVIDER = "pulumi-resource-kubernetes"


def setup_steps(paths: Paths, *, tested: bool = False) -> list[Step]:
    """Return the steps of `setup`, the longest builds first, so that they start first."""
    return [
        _of_node(paths, "kubernetes", tested=tested),
        tool_step(paths, "pulumi"),
        _provider(paths),
        packages_step(paths, PACKAGES),
        tool_step(paths, "kind"),
        tool_step(paths, "kubectl", ("kubernetes",)),
        tool_step(paths, "vegeta"),
        tool_step(paths, "stripe-mock"),
        dockerd_step(paths, (PACKAGES,)),
        libvirtd_step(paths, (PACKAGES,)),
        registry_step(paths, (PACKAGES,)),
        venv_step(paths, (PACKAGES,)),
        accelerator_step(paths, (PACKAGES,)),
        plugins_step(paths, ("pulumi", "venv", PROVIDER)),
    ]


def _provider(paths: Paths) -> Step:
    """Return the step that gets Pulumi's provider for Kubernetes, unless upstream's is here."""

    def spared() -> str:
        found = plugins.find_upstream(paths, "kubernetes", TOOLS[PROVIDER].version)
        return found.source if found else ""

    return tool_step(paths, PROVIDER, spared=spared)


def _of_node(paths: Paths, name: str, *, tested: bool = False) -> Step:
    """Return the step that gets what goes into the node image, unless that is there.

    Not needed at all, but for add-ons, where kindest/node is pulled; nor are those spared that
    tests run.
    """
    if tested and name in API_SERVER:
        return tool_step(paths, name)

    def spared() -> str:
        if name == "kubernetes" and not have(paths, "kubectl"):
            return ""  # Which would be built as it.
        return "in the node image" if node.read_node(paths) else ""

    own = name not in (*STORAGE, *ADD_ONS)
    return tool_step(paths, name, spared=spared, never=node.kindest_is_had if own else lambda: "")


def build_steps(paths: Paths, *, tested: bool = False) -> list[Step]:
    """Return the steps of `build`: those of `setup`, and the images and the guest disks.

    If it is `tested`, what tests run is there as well.
    """
    inside = [_of_node(paths, name, tested=tested) for name in NODE_TOOLS if name != "kubernetes"]
    return [*setup_steps(paths, tested=tested), *inside, *artefacts.steps(paths)]


def lint_steps(paths: Paths) -> list[Step]:
    """Return what the linters need: the venv, and what services check themselves with."""
    return closure(build_steps(paths), ("venv", artefacts.BASE))


def check_steps(paths: Paths) -> list[Step]:
    """Return what the services' own checks need."""
    return closure(build_steps(paths, tested=True), ("venv", artefacts.BASE, *API_SERVER))


def unit_steps(paths: Paths) -> list[Step]:
    """Return what the unit tests need: the venv, and of Debian's packages what builds it."""
    packages = packages_step(paths, "venv-packages", VENV_NEEDS)
    return [packages, venv_step(paths, (packages.name,))]


def bench_steps(paths: Paths) -> list[Step]:
    """Return the steps of `bench-tools`: what only `make bench` compares us with."""
    return [tool_step(paths, "compose")]


def test_steps(paths: Paths) -> list[Step]:
    """Return what tests need beyond `build`."""
    return [packages_step(paths, "test-packages", TEST_NEEDS, (PACKAGES,), start=False)]


def without_kubernetes(steps: Sequence[Step]) -> list[Step]:
    """Return the steps without those that only a cluster needs, whose builds are the longest."""
    out = {"kind", "kubectl", PROVIDER, *NODE_TOOLS, *node.STEPS}
    return [
        replace(step, needs=tuple(need for need in step.needs if need not in out))
        for step in steps
        if step.name not in out
    ]


def chosen(words: str) -> frozenset[str]:
    """Return the models that are named, all if none is; raise ToolchainError for another name."""
    named = frozenset(word.strip() for word in words.split(",") if word.strip())
    if unknown := sorted(named - set(MODELS)):
        raise ToolchainError(f"unknown model '{unknown[0]}': known are {', '.join(sorted(MODELS))}")
    return named or frozenset(MODELS)


def steps_for(paths: Paths, goal: str, models: str = "") -> Sequence[Step]:
    """Return the steps of a goal of `python3 -m toolchain`, for all models or for those named."""
    steps = _steps_for(paths, goal)
    return steps if "kubernetes" in chosen(models) else without_kubernetes(steps)


def _steps_for(paths: Paths, goal: str) -> list[Step]:
    if goal == "setup":
        return setup_steps(paths)
    if goal == "build":
        return build_steps(paths)
    if goal == "bench-tools":
        return [*build_steps(paths), *bench_steps(paths)]
    if goal == "daemons":
        return [
            step
            for step in setup_steps(paths)
            if step.name in (PACKAGES, "dockerd", "libvirtd", "registry")
        ]
    if goal == "accelerator":
        return [step for step in setup_steps(paths) if step.name in (PACKAGES, "accelerator")]
    raise ValueError(goal)
