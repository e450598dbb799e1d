"""One file per deployment model: what happens while it comes up, and what belongs to it.

All files offer the same things, so that the experiments know no model by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from probe import project
from probe.errors import UsageProblem
from probe.models.base import Condition, Inspector, Preparation, Watcher
from probe.models.docker import DockerInspector, DockerPreparation, DockerWatcher
from probe.models.kubernetes import (
    KubernetesInspector,
    KubernetesPreparation,
    KubernetesWatcher,
)
from probe.models.vm import VmInspector, VmPreparation, VmWatcher
from probe.target import Target

__all__ = ["MODELS", "Condition", "inspector", "known", "preparation", "watcher"]

#: The models that this probe can measure.
MODELS = ("docker", "kubernetes", "vm")


def known(model: str) -> str:
    """Return the model's name, or raise UsageProblem naming the ones there are."""
    if model not in MODELS:
        raise UsageProblem(f"unknown model {model!r}: known are {', '.join(MODELS)}")
    return model


def watcher(model: str, prefix: str, config: Mapping[str, str]) -> Watcher:
    """Return what stamps a deployment's phases from outside."""
    if known(model) == "docker":
        return DockerWatcher(prefix, docker_host=config.get("docker_host"))
    if model == "kubernetes":
        return KubernetesWatcher(prefix, config)
    return VmWatcher(prefix, uri=config.get("libvirt_uri", "qemu:///system"))


def inspector(target: Target) -> Inspector:
    """Return what knows the processes and the disk space of a stack that is up."""
    if known(target.model) == "docker":
        return DockerInspector(target)
    if target.model == "kubernetes":
        return KubernetesInspector(target)
    return VmInspector(target)


def preparation(model: str, config: Mapping[str, str], artefacts: Mapping[str, Any]) -> Preparation:
    """Return what makes a host cold or warm before a deployment with this configuration."""
    shape = config["shape"]
    if known(model) == "docker":
        images = project.images_of(artefacts, shape)
        return DockerPreparation(images, docker_host=config.get("docker_host"))
    if model == "kubernetes":
        return KubernetesPreparation(project.cluster_images_of(artefacts), config)
    guest = project.guest_of(artefacts, shape)
    return VmPreparation(guest, uri=config.get("libvirt_uri", "qemu:///system"))
