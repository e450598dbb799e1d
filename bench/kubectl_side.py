"""kubectl's side: kind, `kind load`, `kubectl apply` and `kubectl wait`, one after the other.

What is applied are the stack's own objects, as they stand in its state.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench import commands
from bench.stopwatch import Stopwatch
from probe.errors import ProbeError

NAME: Final = "triptych-bench-kind"
TIMEOUT_S: Final = 300.0
_ENGINES: Final = ("__defaults", "__inputs")


def manifests(state: Mapping[str, Any], prefix: str) -> list[dict[str, Any]]:
    """Return the Kubernetes objects of a stack's state, namespaces first, as they were declared.

    ``prefix`` is what the names of its namespace begin with; add-ons of a cluster of its own come
    along.
    """
    found = []
    for resource in state["deployment"].get("resources", []):
        inputs = resource.get("inputs") or {}
        if resource["type"].startswith("kubernetes:") and "kind" in inputs:
            found.append(_plain(inputs))
    if not any(o["metadata"]["name"] == prefix for o in found if o["kind"] == "Namespace"):
        raise ProbeError(f"the state has no namespace {prefix}")
    return sorted(found, key=lambda o: o["kind"] != "Namespace")


def _plain(value: Any) -> Any:
    """Return a value of a state without the engine's marks; a secret as what it is."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "plaintext" in value:
        return _plain(json.loads(value["plaintext"]))
    return {key: _plain(item) for key, item in value.items() if key not in _ENGINES}


@dataclass(frozen=True)
class Cluster:
    """A kind cluster by hand: its programs, and a folder for config, kubeconfig and manifests."""

    bin: Path
    folder: Path
    image: str
    url: str

    @property
    def kubeconfig(self) -> Path:
        """Return where kind writes the cluster's kubeconfig."""
        return self.folder / "kubeconfig"

    @property
    def context(self) -> str:
        """Return the context's name in it."""
        return f"kind-{NAME}"

    def write(self, config: str) -> None:
        """Write kind's configuration; like a program, it is not timed."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.folder / "kind.yaml").write_text(config, encoding="utf-8")

    def file(self, name: str, objects: Sequence[Mapping[str, Any]]) -> Path:
        """Write objects for `kubectl apply`; for this user alone, as secrets are in them."""
        path = self.folder / f"{name}.json"
        path.touch(mode=0o600)
        content = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        path.write_text(json.dumps(content), encoding="utf-8")
        return path

    def from_nothing(self, images: Sequence[str], objects: Path, namespace: str) -> float:
        """Make the cluster, load images, apply all; return the seconds to the first transaction."""
        watch = Stopwatch(self.url)
        try:
            started_at = time.monotonic()
            self.create()
            self._kind("load", "docker-image", *images, "--name", NAME)
            self.apply(objects, namespace)
            return watch.seconds_since(started_at, TIMEOUT_S)
        finally:
            watch.close()

    def create(self) -> None:
        """Make the cluster."""
        words = ("--name", NAME, "--image", self.image, "--kubeconfig", self.kubeconfig)
        self._kind("create", "cluster", "--config", self.folder / "kind.yaml", *words)

    def applied(self, objects: Path, namespace: str, url: str) -> float:
        """Apply to the ready cluster and wait; return the seconds to the first transaction."""
        watch = Stopwatch(url)
        try:
            started_at = time.monotonic()
            self.apply(objects, namespace)
            return watch.seconds_since(started_at, TIMEOUT_S)
        finally:
            watch.close()

    def apply(self, objects: Path, namespace: str) -> None:
        """Apply, and wait until all Deployments are available."""
        self.kubectl("apply", "--server-side", "--force-conflicts", "--filename", objects)
        wait = ("--for=condition=Available", "--all", f"--timeout={TIMEOUT_S:.0f}s")
        self.kubectl("wait", "deployment", *wait, "--namespace", namespace)

    def forget(self, namespace: str) -> None:
        """Delete a namespace and wait until it is gone."""
        self.kubectl("delete", "namespace", namespace, "--ignore-not-found", "--wait")

    def delete(self) -> float:
        """Delete the cluster and return the seconds that it took."""
        return self._kind("delete", "cluster", "--name", NAME, "--kubeconfig", self.kubeconfig)

    def remove(self) -> None:
        """Delete the cluster if it is there, and the folder's files, secrets included."""
        with suppress(ProbeError):
            self.delete()
        for path in self.folder.glob("*"):
            path.unlink()

    def kubectl(self, *words: str | Path) -> float:
        """Run kubectl on the cluster; return the seconds that it took."""
        argv = [self.bin / "kubectl", "--kubeconfig", self.kubeconfig, *words]
        return commands.run(argv, cwd=self.folder, timeout_s=TIMEOUT_S)

    def _kind(self, *words: str | Path) -> float:
        # A network of its own: the one that kind makes otherwise would stay for ever.
        env = {"KIND_EXPERIMENTAL_DOCKER_NETWORK": NAME}
        return commands.run([self.bin / "kind", *words], cwd=self.folder, env=env, timeout_s=600)
