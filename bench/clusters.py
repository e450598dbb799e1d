"""Kubernetes: ours beside kind and kubectl by hand, and what a cluster takes while idle."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import docker
from docker.errors import DockerException

from bench import kubectl_side
from bench.figures import Figure, bounded, compared
from bench.kubectl_side import Cluster, manifests
from bench.pulumi_side import PulumiSide
from components.docker.platform import STACK_LABEL
from components.kubernetes.platform import OwnCluster, kind_config
from probe import models, sites
from probe.errors import ProbeError
from probe.models.base import ADD_ONS, CONTROL_PLANE, NODE, Inspector
from probe.target import from_outputs

READY_LIMIT: Final = 1.3
NOTHING_LIMIT: Final = 1.0
DESTROY_LIMIT: Final = 1.2
IDLE_MIB: Final = 1.2 * 1024
IDLE_PERCENT: Final = 15.0
#: What an idle cluster gets to become idle, and how long it is watched (seconds).
SETTLE_S: Final = 30.0
WINDOW_S: Final = 30.0
#: What is the cluster's and not the shop's: what an idle one costs.
CLUSTER_PARTS: Final = (CONTROL_PLANE, ADD_ONS, NODE)

FIGURES: Final = {
    "kubernetes-from-nothing": ("s", NOTHING_LIMIT),
    "kubernetes-ready-cluster": ("s", READY_LIMIT),
    "kubernetes-destroy": ("s", DESTROY_LIMIT),
    "kubernetes-idle-memory": ("MiB", IDLE_MIB),
    "kubernetes-idle-cpu": ("%", IDLE_PERCENT),
}


class MakeSide(Protocol):
    """Makes our side: a stack's name, the URL of its gateway, and its configuration."""

    def __call__(self, name: str, url: str, **config: str) -> PulumiSide:
        """Return the stack."""


@dataclass
class Bench:
    """The Kubernetes part of a run. ``turns`` gives both sides in the order of a round."""

    side: MakeSide
    artefacts: Mapping[str, Any]
    bin: Path
    folder: Path
    wanted: frozenset[str]
    turns: Callable[[int, Callable[[], None], Callable[[], None]], tuple[Callable[[], None], ...]]
    shielded: Callable[[Callable[[], object]], None]
    say: Callable[[str], None]
    times: dict[str, list[float]] = field(default_factory=dict)

    def measure(self, rounds: int) -> list[Figure]:
        """Return the figures."""
        models.preparation("kubernetes", {"shape": "monolith"}, self.artefacts).warm()
        port, other = sites.free_port(), sites.free_port()
        ours = self.side(
            "bench-kubernetes",
            f"https://127.0.0.1:{port}",
            model="kubernetes",
            gateway_port=str(port),
        )
        node = str(self.artefacts["kubernetes"]["node"]["ref"])
        theirs = Cluster(self.bin, self.folder, node, f"https://127.0.0.1:{other}")
        own = OwnCluster(
            node_image=node, address="127.0.0.1", port=other, docker_host=None, mirror=None
        )
        with ExitStack() as stack:
            # The last one said is the first one done: a network goes when nobody is in it.
            stack.callback(self.shielded, _remove_network)
            stack.callback(self.shielded, theirs.remove)
            stack.callback(self.shielded, ours.remove)
            ours.create()
            _make_network()
            theirs.write(kind_config(kubectl_side.NAME, own))
            # The deployment before the first is not counted: it fills the host's caches for both.
            ours.deploy()
            objects = manifests(ours.state(), ours.prefix)
            if {"kubernetes-idle-memory", "kubernetes-idle-cpu"} & self.wanted:
                self._idle(ours)
            ours.destroy()
            whole = theirs.file("whole", objects)
            images = sorted(set(images_of(objects, self.artefacts)))
            self._from_nothing(ours, theirs, images, whole, rounds)
            if "kubernetes-ready-cluster" in self.wanted:
                self._ready(theirs, images, whole, ours.prefix, other, rounds)
        return self._figures()

    def _note(self, name: str, value: float) -> None:
        self.times.setdefault(name, []).append(value)

    def _from_nothing(
        self, ours: PulumiSide, theirs: Cluster, images: list[str], whole: Path, rounds: int
    ) -> None:
        if not {"kubernetes-from-nothing", "kubernetes-destroy"} & self.wanted:
            return

        def our_turn() -> None:
            self._note("ours", ours.first_transaction())
            started = time.monotonic()
            ours.destroy()
            self._note("our destroy", time.monotonic() - started)

        def their_turn() -> None:
            self._note("theirs", theirs.from_nothing(images, whole, ours.prefix))
            self._note("their delete", theirs.delete())

        for number in range(rounds):
            for turn in self.turns(number, our_turn, their_turn):
                turn()
            self.say(f"  kubernetes, round {number + 1}: {self._last()}")

    def _ready(
        self, theirs: Cluster, images: list[str], whole: Path, prefix: str, port: int, rounds: int
    ) -> None:
        """Both sides take turns in one cluster, which is there with its add-ons and images."""
        theirs.from_nothing(images, whole, prefix)
        theirs.forget(prefix)
        guest = self.side(
            "bench-guest",
            f"https://localhost:{port}",
            model="kubernetes",
            cluster="existing",
            kubeconfig=str(theirs.kubeconfig),
            context=theirs.context,
            registry=_registry_of(images[0]),
            storefront_host=f"localhost:{port}",
        )

        def our_turn() -> None:
            self._note("ours ready", guest.first_transaction())
            guest.destroy()

        with ExitStack() as stack:
            stack.callback(self.shielded, guest.remove)
            guest.create()
            guest.deploy()
            same = theirs.file("guest", manifests(guest.state(), guest.prefix))
            guest.destroy()

            def their_turn() -> None:
                self._note("theirs ready", theirs.applied(same, guest.prefix, guest.url))
                theirs.forget(guest.prefix)

            for number in range(rounds):
                for turn in self.turns(number, our_turn, their_turn):
                    turn()
                self.say(f"  kubernetes, ready cluster, round {number + 1}: {self._last()}")

    def _idle(self, ours: PulumiSide) -> None:
        inspector = models.inspector(from_outputs(ours.name, ours.outputs()))
        try:
            self.say(f"  settling {SETTLE_S:.0f} s, then idle for {WINDOW_S:.0f} s")
            time.sleep(SETTLE_S)
            before, began = _taken(inspector), time.monotonic()
            time.sleep(WINDOW_S)
            after, elapsed = _taken(inspector), time.monotonic() - began
        finally:
            inspector.close()
        self._note("idle MiB", after[0] / 1024**2)
        self._note("idle %", (after[1] - before[1]) / elapsed * 100)

    def _last(self) -> str:
        return ", ".join(f"{name} {values[-1]:.2f}" for name, values in self.times.items())

    def _figures(self) -> list[Figure]:
        times = self.times
        figures = []
        for name, ours, theirs, limit, note in (
            (
                "kubernetes-from-nothing",
                "ours",
                "theirs",
                NOTHING_LIMIT,
                "pulumi up beside kind create cluster, kind load and kubectl apply of the same"
                " objects, one after the other; both to the first transaction",
            ),
            (
                "kubernetes-ready-cluster",
                "ours ready",
                "theirs ready",
                READY_LIMIT,
                "in one cluster: pulumi up beside kubectl apply and kubectl wait of the same"
                " objects; both to the first transaction",
            ),
            (
                "kubernetes-destroy",
                "our destroy",
                "their delete",
                DESTROY_LIMIT,
                "pulumi destroy beside kind delete cluster",
            ),
        ):
            if name in self.wanted and times.get(ours) and times.get(theirs):
                figures.append(compared(name, times[ours], times[theirs], limit=limit, note=note))
        note = "control plane, add-ons and the node's own processes; with the shop idle beside them"
        if times.get("idle MiB"):
            figures += [
                bounded(
                    "kubernetes-idle-memory",
                    times["idle MiB"],
                    unit="MiB",
                    limit=IDLE_MIB,
                    note=f"{note}; control groups without reclaimable cache",
                ),
                bounded(
                    "kubernetes-idle-cpu",
                    times["idle %"],
                    unit="%",
                    limit=IDLE_PERCENT,
                    note=f"{note}; of one core",
                ),
            ]
        return figures


def _taken(inspector: Inspector) -> tuple[float, float]:
    """Return memory (bytes) and CPU time (seconds) of what is the cluster's."""
    parts = [u for name, u in inspector.shares().platform.items() if name in CLUSTER_PARTS]
    return float(sum(u.memory_bytes for u in parts)), math.fsum(u.cpu_s for u in parts)


def images_of(objects: list[dict[str, Any]], artefacts: Mapping[str, Any]) -> list[str]:
    """Return the references of the shop's images that pods of these objects run."""
    known = {image["ref"] for image in artefacts["images"].values()}
    found = []
    for item in objects:
        template = (item.get("spec") or {}).get("template") or {}
        for container in (template.get("spec") or {}).get("containers") or []:
            if container["image"] in known:
                found.append(container["image"])
    return found


def _registry_of(reference: str) -> str:
    return reference.partition("/")[0]


def _networks(client: docker.DockerClient) -> list[Any]:
    found = client.networks.list(names=[kubectl_side.NAME])
    return [network for network in found if network.name == kubectl_side.NAME]


def _make_network() -> None:
    client = docker.from_env()
    try:
        if not _networks(client):
            labels = {STACK_LABEL: "bench-kind"}
            client.networks.create(kubectl_side.NAME, driver="bridge", labels=labels)
    finally:
        client.close()


def _remove_network() -> None:
    client = docker.from_env()
    try:
        for network in _networks(client):
            network.remove()
    except DockerException as error:
        raise ProbeError(f"network {kubectl_side.NAME} could not be removed: {error}") from None
    finally:
        client.close()
