"""The Docker provider's property names and types against the installed SDK."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import pulumi_docker
import pytest

from plugins.bridge.schema import Kind, Prop, Schema
from plugins.docker.provider import DockerProvider

RESOURCES = {resource.token: resource for resource in DockerProvider.resources}

# What the SDK knows and the bridge refuses by name; docs/plugins.md lists the same.
UNSUPPORTED = {
    "Container": {
        "deviceCgroupRules",
        "deviceRequests",
        "gpus",
        "mounts.volumeOptions.subpath",
        "networksAdvanced.gwPriority",
        "uploads.group",
        "uploads.owner",
        "volumes.selinuxRelabel",
    },
    "Image": set(),
    "Network": set(),
    "RemoteImage": {"build"},
    "Volume": {"cluster"},
}
OURS_ALONE = {"Image": {"build.contextDigest"}}  # upstream adds it, too: the SDK can't set it

KINDS = {
    "str": {Kind.STRING},
    "int": {Kind.INTEGER},
    "bool": {Kind.BOOLEAN},
    "list": {Kind.LIST, Kind.SET},
    "map": {Kind.MAP},
    "object": {Kind.OBJECT},
}


def sdk_properties(args: type) -> dict[str, tuple[str, type | None]]:
    """Return kind and nested type of the inputs of an SDK class, by Pulumi's own names."""
    found = {}
    for name, member in vars(args).items():
        if isinstance(member, property):
            assert member.fget is not None
            wire = getattr(member.fget, "_pulumi_name", name)
            found[wire] = kind_of(str(inspect.signature(member.fget).return_annotation))
    return found


def kind_of(annotation: str) -> tuple[str, type | None]:
    nested = re.search(r"(\w+Args)'", annotation)
    cls = getattr(pulumi_docker, nested.group(1)) if nested else None
    if "Sequence[" in annotation:
        return "list", cls
    if cls is not None:
        return "object", cls
    if "Mapping[" in annotation:
        return "map", None
    names = [name for name in ("bool", "int") if re.search(rf"\b{name}\b", annotation)]
    return (names or ["str"])[0], None  # an enumeration is a string


def compare(schema: Schema, args: type, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield ("sdk" | "bridge" | "kind", path) for each difference."""
    properties = sdk_properties(args)
    for name in properties.keys() - schema.keys():
        yield "sdk", path + name
    for name in schema.keys() - properties.keys():
        yield "bridge", path + name
    for name in properties.keys() & schema.keys():
        kind, nested = properties[name]
        prop: Prop = schema[name]
        if prop.kind not in KINDS[kind]:
            yield "kind", path + name
        inner = prop.element if prop.element is not None and nested else prop
        if nested is not None and inner is not None:
            yield from compare(inner.fields, nested, f"{path}{name}.")


@pytest.mark.parametrize("token", RESOURCES)
def test_inputs_are_the_sdks(token: str) -> None:
    name = token.rpartition(":")[2]
    args = getattr(pulumi_docker, f"{name}Args")
    found: dict[str, set[str]] = {"sdk": set(), "bridge": set(), "kind": set()}
    for what, path in compare(RESOURCES[token].inputs, args):
        found[what].add(path)
    assert found["kind"] == set()
    assert found["bridge"] == OURS_ALONE.get(name, set())
    assert found["sdk"] == UNSUPPORTED[name]


@pytest.mark.parametrize("token", RESOURCES)
def test_outputs_are_the_sdks(token: str) -> None:
    resource = RESOURCES[token]
    cls = getattr(pulumi_docker, token.rpartition(":")[2])
    known = {
        getattr(member.fget, "_pulumi_name", name)
        for name, member in vars(cls).items()
        if isinstance(member, property)
    }
    assert set(resource.outputs) <= known


def test_tokens_and_version_are_the_sdks() -> None:
    assert DockerProvider.version == version("pulumi_docker")
    for token in RESOURCES:
        cls: Any = getattr(pulumi_docker, token.rpartition(":")[2])
        assert cls.pulumi_type == token
