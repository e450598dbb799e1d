"""Pulumi mocks: what a stack registers, recorded, without engine, daemons or plugins."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pulumi
import pulumi.runtime
import pytest
from pulumi.runtime import mocks, rpc
from pulumi.runtime import settings as runtime_settings

import stacks.artefacts
from components.vm.platform import GoldenDisk
from settings import Settings
from shop import catalogue
from stacks.artefacts import Guest

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


class _Monitor(mocks.MockMonitor):
    """Pulumi's mock monitor, which also keeps the requests with their options."""

    def __init__(self) -> None:
        super().__init__(Recorder())
        self.requests: list[Any] = []
        self.registered_outputs: dict[str, dict[str, Any]] = {}

    def RegisterResource(self, request: Any) -> Any:
        self.requests.append(request)
        return super().RegisterResource(request)

    def RegisterResourceOutputs(self, request: Any) -> Any:
        self.registered_outputs[request.urn.rpartition("::")[2]] = rpc.deserialize_properties(
            request.outputs
        )
        return super().RegisterResourceOutputs(request)

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


def _strip(value: Any, path: str, secrets: set[str]) -> Any:
    if rpc.is_rpc_secret(value):
        secrets.add(path)
        return _strip(rpc.unwrap_rpc_secret(value), path, secrets)
    if isinstance(value, dict):
        return {k: _strip(v, f"{path}.{k}" if path else k, secrets) for k, v in value.items()}
    if isinstance(value, list):
        return [_strip(v, f"{path}[{i}]", secrets) for i, v in enumerate(value)]
    return value


def _registered(request: Any) -> Registered:
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


@pytest.fixture
def pulumi_loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[asyncio.AbstractEventLoop]:
    """Give the test an event loop and a Pulumi runtime of its own."""
    # An Output in an f-string is a mistake: say so instead of formatting it.
    monkeypatch.setenv("PULUMI_ERROR_OUTPUT_STRING", "1")
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield loop
    loop.run_until_complete(_quiesce())
    runtime_settings.reset_options()
    asyncio.set_event_loop(None)
    loop.close()


@pytest.fixture
def deploy(pulumi_loop: asyncio.AbstractEventLoop) -> Callable[..., Deployed]:
    """Return a function that runs a program under the mocks and returns what it registered."""

    def run(
        program: Callable[[], dict[str, Any]], *, stack: str = "unit", preview: bool = False
    ) -> Deployed:
        monitor = _Monitor()
        mocks.set_mocks(
            Recorder(), project="triptych", stack=stack, preview=preview, monitor=monitor
        )
        unknown: set[str] = set()
        outputs: dict[str, Any] = {}

        async def everything() -> None:
            exports = program()
            for key, value in exports.items():
                output = pulumi.Output.from_input(value)
                if not await output.is_known():
                    unknown.add(key)
                outputs[key] = await output.future(with_unknowns=False)
            await _quiesce()

        pulumi_loop.run_until_complete(everything())
        return Deployed(
            resources={r.name: r for r in map(_registered, monitor.requests)},
            registered_outputs=monitor.registered_outputs,
            outputs=outputs,
            unknown=unknown,
        )

    return run


async def _quiesce() -> None:
    """Wait until everything that was begun is registered, as the engine's program runner does."""
    from pulumi.runtime.stack import wait_for_rpcs

    await wait_for_rpcs()


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


@pytest.fixture
def artefacts_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put an artefacts' index in place of the clone's own."""
    file = tmp_path / "artefacts.json"
    names = {s.image for shape in catalogue.SHAPES for s in catalogue.services(shape)}
    images = {
        name: {"ref": f"127.0.0.1:5085/triptych/{name}:abc123", "unpacked_bytes": 1000}
        for name in names
    }
    guests = {
        shape: {
            "key": key,
            "disk": f"/cache/guest-{key}.qcow2",
            "kernel": f"/cache/vmlinuz-{key}",
            "initrd": f"/cache/initrd-{key}",
            "pool": "triptych-cache",
            "volume": f"guest-{key}.qcow2",
            "kernel_volume": f"vmlinuz-{key}",
            "initrd_volume": f"initrd-{key}",
            "cmdline": "root=/dev/vda rw console=ttyS0 quiet",
            "virtual_bytes": 2**31,
            "unpacked_bytes": 2**30,
        }
        for shape, key in GUEST_KEYS.items()
    }
    sources = {name: f"re1ea5e-{name}" for name in names}
    node = {"ref": "127.0.0.1:5085/triptych/node:abc123", "unpacked_bytes": 1000}
    registry = {"ref": "127.0.0.1:5085/triptych/registry:abc123", "unpacked_bytes": 1000}
    content = {
        "schema": 2,
        "sources": sources,
        "images": {**images, "registry": registry},
        "guests": guests,
        "kubernetes": {"node": node},
    }
    file.write_text(json.dumps(content), encoding="utf-8")
    monkeypatch.setattr(stacks.artefacts, "FILE", file)
    load = stacks.artefacts.Artefacts.load
    monkeypatch.setattr(
        stacks.artefacts.Artefacts, "load", classmethod(lambda cls, path=file: load(path))
    )
    return file


@pytest.fixture
def build_stack(
    deploy: Callable[..., Deployed],
    artefacts_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Deployed]:
    """Return a function that builds a model's stack under the mocks, with a host that is fit."""
    import stacks
    import stacks.docker_host
    import stacks.kubernetes
    import stacks.kubernetes_host
    import stacks.libvirt_host

    def golden(_host: object, *, guest: Guest, **_more: object) -> GoldenDisk:
        return GoldenDisk(
            key=guest.key,
            pool=guest.pool,
            pool_path="/var/lib/libvirt/triptych/cache",
            volume=guest.volume,
            kernel_volume=guest.kernel_volume,
            initrd_volume=guest.initrd_volume,
            disk_file=str(guest.disk),
            kernel_file=str(guest.kernel),
            initrd_file=str(guest.initrd),
            cmdline=guest.cmdline,
        )

    monkeypatch.setattr(stacks.docker_host, "check", lambda *_a, **_k: None)
    monkeypatch.setattr(stacks.libvirt_host, "check", golden)
    monkeypatch.setattr(stacks.kubernetes_host, "check_own", lambda *_a, **_k: None)
    monkeypatch.setattr(stacks.kubernetes_host, "check_existing", lambda *_a, **_k: None)
    (tmp_path / "registry" / "data").mkdir(parents=True)
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path))
    monkeypatch.setattr("stacks.parts.warn_if_outdated", lambda *_args: None)

    def run(model: str, *, preview: bool = False, **changes: Any) -> Deployed:
        def program() -> dict[str, Any]:
            return stacks.build(make_settings(model=model, **changes)).export()

        return deploy(program, preview=preview)

    return run


@pytest.fixture(autouse=True)
def _runs_of_its_own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch):
    """Keep what a test claims from the machine's real runs."""
    from probe import store

    monkeypatch.setattr(store, "CLAIMS", tmp_path_factory.getbasetemp() / "claims")
