from __future__ import annotations

import json
from pathlib import Path

import pytest

from toolchain.errors import ToolchainError
from toolchain.paths import Paths
from toolchain.push import push_steps, target


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(root=tmp_path, cache=tmp_path / "cache", run=tmp_path / "run")


def test_every_image_is_pushed_under_its_own_path(paths: Paths) -> None:
    paths.artefacts_json.parent.mkdir(parents=True)
    images = {"auth": {"ref": "127.0.0.1:5085/triptych/auth:1"}, "base": {"ref": "x/b:1"}}
    paths.artefacts_json.write_text(json.dumps({"images": images}))
    steps = push_steps(paths, "registry.example.org:5000")
    assert [step.name for step in steps] == ["push-auth", "push-base"]
    there = target("127.0.0.1:5085/triptych/auth:1", "registry.example.org:5000")
    assert there == "registry.example.org:5000/triptych/auth:1"


@pytest.mark.parametrize("registry", ["", "https://registry.example.org", "a b", "r/path"])
def test_what_is_no_registry_is_refused(paths: Paths, registry: str) -> None:
    with pytest.raises(ToolchainError, match="must be a host or host:port"):
        push_steps(paths, registry)


def test_nothing_is_pushed_before_it_is_built(paths: Paths) -> None:
    with pytest.raises(ToolchainError, match="run `make build` first"):
        push_steps(paths, "registry.example.org")
