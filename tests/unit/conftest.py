"""Stacks under Pulumi mocks, and runs that are nobody else's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pulumi
import pulumi.runtime
import pytest
from pulumi.runtime import mocks
from pulumi.runtime import settings as runtime_settings

import stacks.artefacts
from components.vm.platform import GoldenDisk
from shop import catalogue
from stacks.artefacts import Guest
from tests.support.pulumi_mocks import (
    GUEST_KEYS,
    Build,
    Deployed,
    Monitor,
    Recorder,
    make_settings,
    registered,
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
        # What another program of the same test has hung on its stack is not this one's.
        runtime_settings.reset_options()
        monitor = Monitor()
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
            resources={r.name: r for r in map(registered, monitor.requests)},
            registered_outputs=monitor.registered_outputs,
            outputs=outputs,
            unknown=unknown,
        )

    return run


async def _quiesce() -> None:
    """Wait until everything that was begun is registered, as the engine's program runner does."""
    from pulumi.runtime.stack import wait_for_rpcs

    await wait_for_rpcs()


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
) -> Build:
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
def _runs_of_its_own(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keep what a test claims from the machine's real runs."""
    from probe import store

    monkeypatch.setattr(store, "CLAIMS", tmp_path_factory.getbasetemp() / "claims")
