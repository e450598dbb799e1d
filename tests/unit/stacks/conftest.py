"""Stacks that are built once and only looked at, in each shape."""

from __future__ import annotations

from typing import Any

import pytest

from probe import sites
from shop import catalogue
from shop.model import Service
from tests.support.pulumi_mocks import Build, Deployed


@pytest.fixture(scope="session")
def _kept() -> dict[tuple[object, ...], Deployed]:
    return {}


@pytest.fixture
def built(_kept: dict[tuple[object, ...], Deployed], build_stack: Build) -> Build:
    """Return what gives a model's stack in a shape: built when first asked for, only looked at."""

    def get(model: str, shape: str, **changes: Any) -> Deployed:
        key = (model, shape, *sorted(changes.items()))
        if key not in _kept:
            _kept[key] = build_stack(model, shape=shape, **changes)
        return _kept[key]

    return get


@pytest.fixture(params=catalogue.SHAPES)
def shape(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def services(shape: str) -> dict[str, Service]:
    return {s.name: s for s in catalogue.services(shape)}


@pytest.fixture
def docker(built: Build, shape: str) -> Deployed:
    return built("docker", shape)


@pytest.fixture
def kubernetes(built: Build, shape: str) -> Deployed:
    return built("kubernetes", shape)


@pytest.fixture
def vm(built: Build, shape: str) -> Deployed:
    return built("vm", shape)


@pytest.fixture
def free_port() -> int:
    return sites.free_port()
