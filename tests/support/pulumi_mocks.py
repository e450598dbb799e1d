"""Pulumi mocks: what a program registers, recorded, without engine, daemons or plugins."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pulumi
import pulumi.runtime
from pulumi import dynamic
from pulumi.runtime import mocks, rpc

from settings import Settings

SECRET_VALUES = {
    "jwt_private_key": "-----jwt-----",
    "postgres_password": "hunter2-postgres",
    "tls_certificate": "-----certificate-----",
    "tls_private_key": "-----tls-key-----",
    "ca_private_key": "-----ca-key-----",
}
STRIPE_KEY = "sk_test_unit123"
#: The made-up guest disks, by shape.
GUEST_KEYS = {"monolith": "d15c0", "microservices": "d15c5"}
DYNAMIC = "pulumi-python:dynamic:Resource"
CLUSTER = "pulumi-python:dynamic/kubernetes:Cluster"
KUBECONFIG = "-----kubeconfig-----"


@dataclasses.dataclass
class Registered:
    """A resource as the engine would get it."""

    typ: str
    name: str
    inputs: dict[str, Any]
    secret_inputs: set[str]
    parent: str
    delete_before_replace: bool
    replace_on_changes: list[str]
    ignore_changes: list[str]
    replace_with: list[str]
    dependencies: list[str]
    deleted_with: str
    provider: str
    hooks: list[str]
    custom: bool

    @property
    def parent_name(self) -> str:
        """Return the parent's name."""
        return self.parent.rpartition("::")[2]


class Recorder(mocks.Mocks):
    """Gives each resource an id and the outputs that others build on."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        outputs = dict(args.inputs)
        if args.typ == CLUSTER:
            outputs |= {"kubeconfig": KUBECONFIG, "running": True}
        elif args.typ.startswith("kubernetes:") and not args.inputs["metadata"].get("name"):
            # As the provider names what has no name.
            named = {**args.inputs["metadata"], "name": f"{args.name}-1a2b3c"}
            outputs |= {"metadata": named}
        elif args.typ == DYNAMIC:
            outputs |= {**SECRET_VALUES, "ca_certificate": "-----ca-----"}
        elif args.typ == "docker:index/remoteImage:RemoteImage":
            outputs |= {"imageId": f"sha256:{args.inputs['name']}"}
        return f"{args.name}-id", outputs

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[Any, Any], None]:
        raise AssertionError(f"no function is called, but {args.token} was")


class Monitor(mocks.MockMonitor):
    """Pulumi's mock monitor, which also keeps the requests with their options."""

    def __init__(self) -> None:
        super().__init__(Recorder())
        self.requests: list[Any] = []
        self.registered_outputs: dict[str, dict[str, Any]] = {}

    def RegisterResource(self, request: Any) -> Any:
        self.requests.append(request)
        # Pulumi's own is without annotations, and so is the one below.
        return super().RegisterResource(request)  # type: ignore[no-untyped-call]

    def RegisterResourceOutputs(self, request: Any) -> Any:
        self.registered_outputs[request.urn.rpartition("::")[2]] = rpc.deserialize_properties(
            request.outputs
        )
        return super().RegisterResourceOutputs(request)  # type: ignore[no-untyped-call]

    def RegisterResourceHook(self, request: Any) -> Any:
        return None


@dataclasses.dataclass
class Deployed:
    """Everything that a program registered, with its outputs resolved."""

    resources: dict[str, Registered]
    registered_outputs: dict[str, dict[str, Any]]
    outputs: dict[str, Any]
    unknown: set[str]

    def of(self, typ: str) -> list[Registered]:
        """Return the resources of a type, given its last part such as ``Container``."""
        return [r for r in self.resources.values() if r.typ.rpartition(":")[2] == typ]


#: Builds a model's stack, by the model's name and what is to be set.
Build = Callable[..., Deployed]


def outs_of(
    result: dynamic.CreateResult | dynamic.ReadResult | dynamic.UpdateResult,
) -> dict[str, Any]:
    """Return what a dynamic provider has given back."""
    assert result.outs is not None
    return result.outs


def _strip(value: Any, path: str, secrets: set[str]) -> Any:
    if rpc.is_rpc_secret(value):
        secrets.add(path)
        return _strip(rpc.unwrap_rpc_secret(value), path, secrets)
    if isinstance(value, dict):
        return {k: _strip(v, f"{path}.{k}" if path else k, secrets) for k, v in value.items()}
    if isinstance(value, list):
        return [_strip(v, f"{path}[{i}]", secrets) for i, v in enumerate(value)]
    return value


def registered(request: Any) -> Registered:
    secrets: set[str] = set()
    raw = rpc.deserialize_properties(request.object, keep_unknowns=True)
    return Registered(
        typ=request.type,
        name=request.name,
        inputs=_strip(raw, "", secrets),
        secret_inputs=secrets,
        parent=request.parent,
        delete_before_replace=request.deleteBeforeReplace,
        replace_on_changes=list(request.replaceOnChanges),
        ignore_changes=list(request.ignoreChanges),
        replace_with=[urn.rpartition("::")[2] for urn in request.replace_with],
        dependencies=[urn.rpartition("::")[2] for urn in request.dependencies],
        deleted_with=request.deletedWith.rpartition("::")[2],
        provider=request.provider.rpartition("::")[0].rpartition("::")[2],
        hooks=list(request.hooks.before_create),
        custom=request.custom,
    )


def make_settings(**changes: Any) -> Settings:
    """Return settings as the defaults give them, with some changed."""
    values: dict[str, Any] = {
        "stack": "unit",
        "model": "docker",
        "shape": "monolith",
        "gateway_port": 18443,
        "bind_address": IPv4Address("127.0.0.1"),
        "keep_images": True,
        "registry": None,
        "docker_host": None,
        "libvirt_uri": "qemu:///system",
        "vm_subnet": IPv4Network("10.99.0.0/24"),
        "vm_accelerator": "tcg",
        "ssh_public_key": None,
    }
    values |= changes
    values.setdefault("stripe_api_key", pulumi.Output.secret(STRIPE_KEY))
    return Settings(**values)
