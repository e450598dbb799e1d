"""The graph of builds."""

from __future__ import annotations

from pathlib import Path

from shop.catalogue import SHAPES
from tests.support import ROOT
from toolchain.artefacts import build, keys, recipes
from toolchain.artefacts.recipes import image_names
from toolchain.paths import Paths
from toolchain.steps import Step, StepContext, check_graph


def test_the_graph_builds_what_others_are_built_on_first(tmp_path: Path) -> None:
    paths = Paths(root=ROOT, cache=tmp_path / "cache", run=tmp_path / "run")
    setup = ("debian-packages", "registry", "libvirtd", "stripe-mock", "kind", *keys.NODE_TOOLS)
    stubs = [Step(name, nothing) for name in setup]
    found = {step.name: step for step in check_graph([*stubs, *build.steps(paths)])}
    names = [name for name in found if name not in setup]
    assert names[:2] == ["buildah", "base-image"]
    assert names[-1] == "artefacts"
    assert set(found["artefacts"].needs) == {
        *(f"image-{name}" for name in image_names()),
        *(f"guest-{shape}" for shape in SHAPES),
        "image-node",
    }
    assert "image-frontend" in found["image-monolith"].needs
    assert names.index("image-frontend") == 2
    for shape in SHAPES:
        needs = found[f"guest-{shape}"].needs
        assert {f"image-{name}" for name in recipes.app_services(shape)} <= set(needs)
        # dockerd is for running: nothing is built with it.
        assert "dockerd" not in {need for step in found.values() for need in step.needs}
    assert all(step.heavy for name, step in found.items() if name.startswith(("image-", "guest-")))


async def nothing(context: StepContext) -> None:
    """Do nothing."""
