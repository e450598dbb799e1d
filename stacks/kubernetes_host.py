"""What a Kubernetes stack goes to, as this program itself sees it before anything is declared.

For a cluster of the stack's own that is this host and its Docker daemon, for the user's cluster
its API server. Both are only looked at.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pulumi

from components.docker.platform import STACK_LABEL
from components.kubernetes import cluster, tools
from shop.model import Limits
from stacks import docker_host, hosts
from stacks.artefacts import Image
from stacks.docker_host import DockerHost
from stacks.hosts import PreflightError

#: The oldest release whose pods can wait before they stop, and say so in their probes' terms.
OLDEST: Final = (1, 30)
_KIND_LABEL: Final = "io.x-k8s.kind.cluster"
#: What a cluster writes besides the images: etcd, logs, the shop's data.
_CLUSTER_BYTES: Final = 1024 * 1024 * 1024
#: What the control plane and the add-ons take.
_CLUSTER_MEMORY_MIB: Final = 1280
_MEMORY_FILE: Final = Path("/proc/meminfo")
_ANSWER_S: Final = 5


def check_own(
    host: DockerHost,
    *,
    stack: str,
    prefix: str,
    registry: str | None,
    address: str,
    port: int,
    node: Image,
    images: Mapping[str, Image],
    limits: Limits,
) -> None:
    """Look whether a kind cluster can be had on this host.

    ``registry`` is the name of the registry's container, if there is to be one.

    Raises:
        PreflightError: if the daemon or a program is not there, a name or the port is taken by
            something that is not ours, or disk or memory is too small.
    """
    if not host.is_local:
        raise PreflightError(
            "a kind cluster is made on this host alone, and the Docker daemon is at"
            f" {host.address}: set triptych:cluster to existing for a cluster elsewhere"
        )
    client = host.client()
    for program in ("docker", "kind", "kubectl"):
        if tools.find(program) is None:
            raise PreflightError(f"{program} is missing: run `make build` first")
    present = docker_host.present_containers(host)
    if registry:
        docker_host.check_names(present, stack, (registry,))
    networks = [n for n in client.api.networks(names=[prefix]) if n["Name"] == prefix]
    foreign = [n for n in networks if not docker_host.is_ours(n.get("Labels"), stack)]
    if foreign:
        raise PreflightError(
            f'a network "{prefix}" is there already and does not belong to this stack:'
            " remove it, or use another stack name"
        )
    nodes = [
        name
        for name, container in present.items()
        if (container.get("Labels") or {}).get(_KIND_LABEL) == prefix
        or name == f"{prefix}-control-plane"
    ]
    for name in nodes:
        if not _is_attached(present[name], prefix):
            raise PreflightError(
                f'a kind cluster "{prefix}" is there already and does not belong to this stack:'
                f" delete it (kind delete cluster --name {prefix}), or use another stack name"
            )
    docker_host.check_port(host, present, address, port, nodes[0] if nodes else None)
    tags = {tag for image in client.api.images() for tag in image.get("RepoTags") or ()}
    if node.ref not in tags and not _can_be_pulled(client, node.ref):
        raise PreflightError(
            f"the image of the Kubernetes node, {node.ref}, is nowhere: run `make build` first"
        )
    if nodes:
        # What it takes it has already.
        return
    root = client.info().get("DockerRootDir")
    if root:
        needed = sum(i.unpacked_bytes for i in images.values()) + _CLUSTER_BYTES
        needed += 0 if node.ref in tags else node.unpacked_bytes
        hosts.require_space(Path(root), needed, "the kubernetes stack")
    _require_memory(_CLUSTER_MEMORY_MIB + limits.memory_mib)


def _is_attached(container: Mapping[str, Any], network: str) -> bool:
    """Return whether a container is in the stack's network, which has been seen to be ours."""
    return network in ((container.get("NetworkSettings") or {}).get("Networks") or {})


def _can_be_pulled(client: Any, reference: str) -> bool:
    from docker.errors import APIError

    try:
        client.api.inspect_distribution(reference)
    except APIError:
        return False
    return True


def _require_memory(needed_mib: int) -> None:
    try:
        text = _MEMORY_FILE.read_text(encoding="ascii")
    except OSError:
        return
    found = re.search(r"^MemAvailable:\s+(\d+) kB", text, re.MULTILINE)
    available_mib = int(found[1]) // 1024 if found else needed_mib
    if available_mib < needed_mib:
        raise PreflightError(
            f"too little memory: a cluster with the shop in it needs {needed_mib} MiB,"
            f" {available_mib} MiB are available"
        )


def clear_leftovers(host: DockerHost, stack: str, prefix: str, names: str) -> None:
    """Have what a killed `up` left removed before its name is used again.

    A cluster too: where the engine's state has none and there is one in the stack's own network,
    an engine died while it was being made.
    """

    def node_cluster(args: pulumi.ResourceHookArgs) -> None:
        name = str((args.new_inputs or {}).get("name", ""))
        found = cluster.nodes(name)
        if not found:
            return
        present = docker_host.present_containers(host)
        if not all(_is_attached(present.get(node, {}), prefix) for node in found):
            raise PreflightError(f'a kind cluster "{name}" that is not of this stack is in the way')
        pulumi.log.warn(f"removing the cluster {name}, left by a run that was killed")
        cluster.delete(name)

    docker_host.clear_leftovers(host, stack, names)
    hosts.before_create({cluster.TYPE: node_cluster}, names)


@dataclass(frozen=True, kw_only=True)
class ClusterAccess:
    """How the user's cluster is reached, by kubectl."""

    kubeconfig: str | None
    context: str

    def ask(self, *query: str) -> str:
        """Return kubectl's answer.

        Raises:
            ToolError: if there is none.
        """
        options = [f"--context={self.context}", f"--request-timeout={_ANSWER_S}s"]
        return self._kubectl(*query, *options)

    def contexts(self) -> list[str]:
        """Return the names of all contexts that the kubeconfig has."""
        return self._kubectl("config", "get-contexts", "--output=name").split()

    def _kubectl(self, *arguments: str) -> str:
        options = [f"--kubeconfig={self.kubeconfig}"] if self.kubeconfig else []
        try:
            return tools.run("kubectl", *arguments, *options, timeout_s=4 * _ANSWER_S)
        except tools.ToolError as error:
            if str(error).endswith("error: EOF"):
                # It asked for a name and a password, and nobody was there.
                raise tools.ToolError("the kubeconfig has no credentials for it") from None
            raise


def check_existing(
    access: ClusterAccess,
    *,
    stack: str,
    prefix: str,
    ingress_class: str | None,
    storage_class: str | None,
) -> None:
    """Look whether the shop can be put into a cluster that the user has.

    Raises:
        PreflightError: if it is not reached, too old, lacks something that the shop relies on, or
            has a namespace of the name that is not ours.
    """
    _check_kubeconfig(access)
    try:
        answer = json.loads(access.ask("version", "--output=json"))
    except tools.ToolError as error:
        raise PreflightError(f"the cluster of context {access.context}: {error}") from None
    _check_version(access.context, answer.get("serverVersion"))
    try:
        found = json.loads(
            access.ask("get", "storageclasses,ingressclasses,apiservices", "--output=json")
        )["items"]
        namespaces = json.loads(
            access.ask(
                "get",
                "namespaces",
                f"--field-selector=metadata.name={prefix}",
                "--output=json",
            )
        )["items"]
    except tools.ToolError as error:
        raise PreflightError(f"the cluster of context {access.context}: {error}") from None
    _check_class(found, "StorageClass", "storage_class", storage_class, "storageclass")
    _check_class(found, "IngressClass", "ingress_class", ingress_class, "ingressclass")
    if not any(_is_metrics_api(item) for item in found):
        raise PreflightError(
            "the cluster has no metrics API (metrics.k8s.io), by which the shop is scaled:"
            " install metrics-server"
        )
    for namespace in namespaces:
        if (namespace["metadata"].get("labels") or {}).get(STACK_LABEL) != stack:
            raise PreflightError(
                f'a namespace "{prefix}" is there already and does not belong to this stack:'
                " remove it, or use another stack name"
            )


def _is_metrics_api(item: Mapping[str, Any]) -> bool:
    if item["metadata"]["name"] != "v1beta1.metrics.k8s.io":
        return False
    conditions = item.get("status", {}).get("conditions", ())
    return any(c["type"] == "Available" and c["status"] == "True" for c in conditions)


def _check_kubeconfig(access: ClusterAccess) -> None:
    if tools.find("kubectl") is None:
        raise PreflightError("kubectl is missing: run `make build` first")
    default = os.environ.get("KUBECONFIG") or "~/.kube/config"
    files = [access.kubeconfig] if access.kubeconfig else default.split(os.pathsep)
    if not any(Path(file).expanduser().is_file() for file in files if file):
        raise PreflightError(
            f"triptych:kubeconfig: there is no file {files[0]}: set the path of a kubeconfig"
        )
    try:
        contexts = access.contexts()
    except tools.ToolError as error:
        raise PreflightError(f"triptych:kubeconfig: {files[0]}: {error}") from None
    if access.context not in contexts:
        raise PreflightError(
            f'triptych:context: "{access.context}" is not in {files[0]}:'
            f" it has {', '.join(contexts) or 'none'}"
        )


def _check_version(context: str, version: Mapping[str, str] | None) -> None:
    if version is None:
        raise PreflightError(f"the cluster of context {context} does not say which release it is")
    release = tuple(int(re.sub(r"\D", "", version[part]) or 0) for part in ("major", "minor"))
    if release < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise PreflightError(
            f"the cluster of context {context} is Kubernetes {version['gitVersion']}:"
            f" {oldest} is the oldest that will do"
        )


def _check_class(
    found: list[dict[str, Any]], kind: str, key: str, wanted: str | None, group: str
) -> None:
    classes = [item for item in found if item["kind"] == kind]
    names = [item["metadata"]["name"] for item in classes]
    listed = ", ".join(names) or "none"
    if wanted is not None:
        if wanted not in names:
            raise PreflightError(f'triptych:{key}: the cluster has no "{wanted}": it has {listed}')
        return
    mark = f"{group}.kubernetes.io/is-default-class"
    for item in classes:
        if (item["metadata"].get("annotations") or {}).get(mark) == "true":
            return
    words = key.replace("_", " ")
    raise PreflightError(
        f"triptych:{key}: the cluster has no default {words} (it has {listed}): set one"
    )
