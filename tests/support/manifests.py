"""Kubernetes' objects, from the clone's own files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from tests.support import ROOT


def documents(*files: str) -> Iterator[dict[str, Any]]:
    for file in files:
        yield from yaml.safe_load_all((ROOT / file).read_text())


def workloads() -> list[dict[str, Any]]:
    """Return what runs pods in a cluster besides the control plane."""
    files = [str(path.relative_to(ROOT)) for path in sorted((ROOT / "k8s/addons").glob("*.yaml"))]
    files.append("k8s/node/rootfs/kind/manifests/default-storage.yaml")
    kinds = ("Deployment", "DaemonSet", "StatefulSet")
    return [found for found in documents(*files) if found["kind"] in kinds]
