"""Which steps a goal takes."""

from __future__ import annotations

import pytest

from toolchain import debian, graph
from toolchain.artefacts import keys, node
from toolchain.errors import ToolchainError
from toolchain.paths import Paths
from toolchain.steps import Step, check_graph
from toolchain.tools import LARGE, tool_step


def test_the_graph_has_all_that_goes_into_the_node(our_paths: Paths) -> None:
    found = {step.name: step for step in check_graph(graph.build_steps(our_paths))}
    needs = set(found[node.STEP].needs)
    assert set(keys.NODE_TOOLS) | {"kind", "base-image", "node-debian"} == needs
    assert next(iter(found)) == "kubernetes"  # The longest.
    # Each wants several GB: never both at once.
    assert {name for name, step in found.items() if step.lock == LARGE} == {
        "kubernetes",
        graph.PROVIDER,
    }
    assert graph.PROVIDER in found["plugins"].needs
    assert node.STEP in found["artefacts"].needs


def test_what_tests_run_is_built_even_if_the_node_image_is_there(
    our_paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def step(our_paths: Paths, name: str, *args: object, **options: object) -> Step:
        if "spared" not in options:
            asked.append(name)
        return tool_step(our_paths, name, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(graph, "tool_step", step)
    check_graph(graph.build_steps(our_paths))
    assert not {"kubernetes", "etcd"} & set(asked)
    asked.clear()
    check_graph(graph.build_steps(our_paths, tested=True))
    assert {"kubernetes", "etcd"} <= set(asked)


def test_without_a_cluster_nothing_of_it_is_built(our_paths: Paths) -> None:
    names = {step.name for step in check_graph(graph.steps_for(our_paths, "build", "docker,vm"))}
    assert not {name for name in names if "kube" in name or "node" in name or name == "etcd"}
    assert {"image-monolith", "guest-monolith", "artefacts", "plugins", "image-registry"} <= names
    everything = {step.name for step in graph.steps_for(our_paths, "build")}
    assert names < everything
    assert {step.name for step in graph.steps_for(our_paths, "build", "kubernetes")} == everything


def test_an_unknown_model_is_refused_before_anything_is_built(our_paths: Paths) -> None:
    with pytest.raises(ToolchainError, match="unknown model 'lxc': known are docker, kubernetes"):
        graph.steps_for(our_paths, "build", "docker,lxc")


def test_linters_wait_for_nothing_of_kubernetes(our_paths: Paths) -> None:
    names = {step.name for step in graph.lint_steps(our_paths)}
    assert not names & {*keys.NODE_TOOLS, node.STEP, graph.PROVIDER, "kubectl"}


def test_linters_need_no_image_but_the_base(paths: Paths) -> None:
    names = [step.name for step in check_graph(graph.lint_steps(paths))]
    assert set(names) == {graph.PACKAGES, "venv", "registry", "buildah", "base-image"}


@pytest.mark.parametrize("goal", ["setup", "build", "bench-tools", "daemons", "accelerator"])
def test_every_goal_is_a_graph(paths: Paths, goal: str) -> None:
    names = [step.name for step in check_graph(graph.steps_for(paths, goal))]
    assert graph.PACKAGES in names


def test_the_unit_tests_need_the_venv_alone(paths: Paths) -> None:
    assert [step.name for step in check_graph(graph.unit_steps(paths))] == ["venv-packages", "venv"]
    packages = {need.package for need in debian.VENV_NEEDS}
    assert packages == {"pkg-config", "gcc", "libc6-dev", "libvirt-dev", "python3-dev"}
