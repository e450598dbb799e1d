"""Kubernetes' platform: a cluster of the stack's own or the user's, and a namespace in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Final

import pulumi
import pulumi_docker as docker
import pulumi_kubernetes as k8s

from components import base
from components.docker.platform import STACK_LABEL
from components.kubernetes import addons, tools
from components.kubernetes.cluster import Cluster, ClusterArgs
from shop.model import Service

#: What kind makes a cluster of, and the manifests of what is added to it.
KIND_CONFIG: Final = tools.PROJECT_ROOT / "k8s" / "kind.yaml"
ADDONS_DIR: Final = tools.PROJECT_ROOT / "k8s" / "addons"

#: In our own clusters: the ingress controller's class, and where it runs.
INGRESS_CLASS: Final = "triptych"
INGRESS_NAMESPACE: Final = "triptych-ingress"

_API_ADDRESS: Final = "127.0.0.1"
_ROLE_LABEL: Final = "triptych.role"
#: Where the image registry in the container has its storage, and what it may take.
_REGISTRY_DIR: Final = "/var/lib/registry"
_REGISTRY_MEMORY_MIB: Final = 128


@dataclass(frozen=True, kw_only=True)
class RegistryMirror:
    """The local registry's storage, served to the cluster by a container of this image."""

    image: str
    storage: Path
    uid: int


@dataclass(frozen=True, kw_only=True)
class OwnCluster:
    """A kind cluster that the stack makes; ``address`` and ``port`` are the gateway's on the host.

    ``mirror`` is None where the images come from another registry than the local one.
    """

    node_image: str
    address: str
    port: int
    docker_host: str | None
    mirror: RegistryMirror | None


@dataclass(frozen=True, kw_only=True)
class ExistingCluster:
    """A cluster that the user has: by kubeconfig file (None: the default one) and context."""

    kubeconfig: str | None
    context: str
    ingress_class: str | None
    ingress_namespace: str | None
    storage_class: str | None


@dataclass(frozen=True, kw_only=True)
class PlatformArgs(base.PlatformArgs):
    """Arguments of ``Platform``.

    ``images`` has each image's reference by its short name; ``services`` are all of the shop's.
    """

    images: Mapping[str, str]
    services: tuple[Service, ...]
    cluster: OwnCluster | ExistingCluster


class Platform(pulumi.ComponentResource):
    """A namespace in which nobody may do anything but what the shop's model says.

    A cluster of our own comes with a Docker network, a registry that it pulls from, and add-ons:
    metrics, network policies, ingress. In the user's cluster they have to be there.

    Output: ``network``, the name of the cluster's Docker network; empty for the user's cluster.
    """

    network: pulumi.Output[str]

    def __init__(
        self, name: str, args: PlatformArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(f"{base.TOKEN_PACKAGE}:kubernetes:Platform", name, None, opts)
        self.stack = args.stack
        self.prefix = args.prefix
        self.images = args.images
        self._services = {service.name: service for service in args.services}
        self.registry: pulumi.Output[str] | None = None
        #: With what everything in the namespace goes, so that it need not be deleted by itself.
        self.goes_with: pulumi.Resource | None = None
        if isinstance(args.cluster, OwnCluster):
            self.ingress_class: str | None = INGRESS_CLASS
            self.ingress_namespace: str | None = INGRESS_NAMESPACE
            self.storage_class: str | None = None
            self._own_cluster(name, args, args.cluster)
        else:
            self.ingress_class = args.cluster.ingress_class
            self.ingress_namespace = args.cluster.ingress_namespace
            self.storage_class = args.cluster.storage_class
            self._existing_cluster(name, args.cluster)
        namespace = k8s.core.v1.Namespace(
            f"{name}-namespace",
            metadata=k8s.meta.v1.ObjectMetaArgs(
                name=args.prefix,
                annotations=dict(addons.TAKE_OVER),
                labels={
                    **self.labels(),
                    "pod-security.kubernetes.io/enforce": "restricted",
                    "pod-security.kubernetes.io/enforce-version": "latest",
                },
            ),
            opts=pulumi.ResourceOptions.merge(
                self.inside(self), pulumi.ResourceOptions(delete_before_replace=True)
            ),
        )
        self.namespace = namespace.metadata.name
        if self.goes_with is None:
            # With the namespace goes all that is in it.
            self.goes_with = namespace
        self._closed(name)
        self.register_outputs({"network": self.network})

    def inside(self, parent: pulumi.Resource) -> pulumi.ResourceOptions:
        """Return the options of an object in the cluster that is a child of ``parent``."""
        return pulumi.ResourceOptions(
            parent=parent, provider=self.provider, deleted_with=self.goes_with
        )

    def labels(self, service: Service | None = None) -> dict[str, str]:
        """Return the labels of everything, and of what belongs to a service."""
        own = {"app.kubernetes.io/name": service.name} if service else {}
        return {
            **own,
            "app.kubernetes.io/part-of": "triptych",
            "app.kubernetes.io/managed-by": "pulumi",
            STACK_LABEL: self.stack,
        }

    def clients_of(self, service: Service) -> list[Service]:
        """Return the services that need this one."""
        return [s for s in self._services.values() if service.name in s.needs]

    def needed_by(self, service: Service) -> list[Service]:
        """Return the services that this one needs."""
        return [self._services[name] for name in service.needs]

    def _own_cluster(self, name: str, args: PlatformArgs, own: OwnCluster) -> None:
        child = pulumi.ResourceOptions(parent=self)
        # Names are fixed: two of the same can't be there at once.
        fixed = pulumi.ResourceOptions(parent=self, delete_before_replace=True)
        network = docker.Network(
            f"{name}-network",
            name=args.prefix,
            driver="bridge",
            labels=[docker.NetworkLabelArgs(label=STACK_LABEL, value=args.stack)],
            opts=fixed,
        )
        node_image = docker.RemoteImage(
            f"{name}-image-node", name=own.node_image, keep_locally=args.keep_images, opts=child
        )
        if own.mirror:
            self.registry = self._registry(name, args, own.mirror, network, fixed)
        cluster = Cluster(
            f"{name}-cluster",
            ClusterArgs(
                name=args.prefix,
                config=kind_config(args.prefix, own),
                # By name, as kind wants it; but not before it is there.
                image=node_image.image_id.apply(lambda _id: own.node_image),
                network=network.name,
                docker_host=own.docker_host,
            ),
            child,
        )
        # Said once more: in a preview, where it is unknown, nothing else marks it.
        kubeconfig: pulumi.Output[str] = pulumi.Output.secret(cluster.kubeconfig)
        self.provider = k8s.Provider(
            f"{name}-kubernetes",
            kubeconfig=kubeconfig,
            # It alone says whether it is another cluster: its addresses do not.
            cluster_identifier=cluster.id,
            enable_server_side_apply=True,
            # A cluster that went without Pulumi's doing took its objects along.
            delete_unreachable=True,
            opts=child,
        )
        self.goes_with = cluster
        self.kubeconfig: pulumi.Output[str] = pulumi.Output.from_input(
            str(tools.kubeconfig_file(args.prefix))
        )
        self.context: pulumi.Output[str] = pulumi.Output.from_input(f"kind-{args.prefix}")
        self.network = network.name
        # An add-on's namespace is a manifest like any other, and comes before what is in it.
        namespaces: dict[str, pulumi.Resource] = {}
        for manifest in sorted(addons.objects(ADDONS_DIR), key=lambda m: m["kind"] != "Namespace"):
            opts = pulumi.ResourceOptions(
                parent=self,
                provider=self.provider,
                deleted_with=cluster,
                depends_on=[
                    r for n, r in namespaces.items() if manifest["metadata"].get("namespace") == n
                ],
            )
            declared = addons.declare(f"{name}-addon", manifest, {STACK_LABEL: args.stack}, opts)
            if manifest["kind"] == "Namespace":
                namespaces[manifest["metadata"]["name"]] = declared

    def _registry(
        self,
        name: str,
        args: PlatformArgs,
        mirror: RegistryMirror,
        network: docker.Network,
        opts: pulumi.ResourceOptions,
    ) -> pulumi.Output[str]:
        """Declare the registry that the cluster pulls from; hardened as Docker's services are."""
        image = docker.RemoteImage(
            f"{name}-image-registry",
            name=mirror.image,
            keep_locally=args.keep_images,
            opts=pulumi.ResourceOptions(parent=self),
        )
        labels = {STACK_LABEL: args.stack, _ROLE_LABEL: "registry"}
        container = docker.Container(
            f"{name}-registry",
            name=f"{args.prefix}-registry",
            image=image.image_id,
            command=["/usr/bin/docker-registry", "serve", "/etc/docker/registry/config.yml"],
            # Who owns the storage may read it.
            user=f"{mirror.uid}:{mirror.uid}",
            hostname="registry",
            working_dir="/",
            network_mode="bridge",
            networks_advanced=[
                docker.ContainerNetworksAdvancedArgs(name=network.name, aliases=["registry"])
            ],
            volumes=[
                docker.ContainerVolumeArgs(
                    host_path=str(mirror.storage), container_path=_REGISTRY_DIR, read_only=True
                )
            ],
            tmpfs={"/tmp": "rw,noexec,nosuid,nodev,size=16m,mode=1777"},
            read_only=True,
            capabilities=docker.ContainerCapabilitiesArgs(drops=["ALL"]),
            security_opts=["no-new-privileges:true"],
            memory=_REGISTRY_MEMORY_MIB,
            memory_swap=_REGISTRY_MEMORY_MIB,
            restart="unless-stopped",
            log_driver="json-file",
            log_opts={"max-file": "3", "max-size": "10m"},
            labels=[
                docker.ContainerLabelArgs(label=label, value=value)
                for label, value in labels.items()
            ],
            must_run=True,
            wait=False,
            opts=opts,
        )
        return container.name

    def _existing_cluster(self, name: str, existing: ExistingCluster) -> None:
        self.provider = k8s.Provider(
            f"{name}-kubernetes",
            # The file's path, so that its keys do not get into the state.
            kubeconfig=existing.kubeconfig,
            context=existing.context,
            cluster_identifier=existing.context,
            enable_server_side_apply=True,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.kubeconfig = pulumi.Output.from_input(existing.kubeconfig or "")
        self.context = pulumi.Output.from_input(existing.context)
        self.network = pulumi.Output.from_input("")

    def _closed(self, name: str) -> None:
        """Close the namespace both ways, but for asking for names."""
        opts = pulumi.ResourceOptions.merge(
            self.inside(self), pulumi.ResourceOptions(delete_before_replace=True)
        )
        everybody = k8s.meta.v1.LabelSelectorArgs()
        k8s.networking.v1.NetworkPolicy(
            f"{name}-default-deny",
            metadata=self._metadata("default-deny"),
            spec=k8s.networking.v1.NetworkPolicySpecArgs(
                pod_selector=everybody, policy_types=["Ingress", "Egress"]
            ),
            opts=opts,
        )
        k8s.networking.v1.NetworkPolicy(
            f"{name}-names",
            metadata=self._metadata("names"),
            spec=k8s.networking.v1.NetworkPolicySpecArgs(
                pod_selector=everybody,
                policy_types=["Egress"],
                egress=[
                    k8s.networking.v1.NetworkPolicyEgressRuleArgs(
                        to=[
                            k8s.networking.v1.NetworkPolicyPeerArgs(
                                namespace_selector=in_namespace("kube-system"),
                                pod_selector=k8s.meta.v1.LabelSelectorArgs(
                                    match_labels={"k8s-app": "kube-dns"}
                                ),
                            )
                        ],
                        ports=[
                            k8s.networking.v1.NetworkPolicyPortArgs(port=53, protocol=protocol)
                            for protocol in ("UDP", "TCP")
                        ],
                    )
                ],
            ),
            opts=opts,
        )

    def _metadata(self, name: str) -> k8s.meta.v1.ObjectMetaArgs:
        return k8s.meta.v1.ObjectMetaArgs(
            name=name,
            namespace=self.namespace,
            labels=self.labels(),
            annotations=dict(addons.TAKE_OVER),
        )


def in_namespace(name: str) -> k8s.meta.v1.LabelSelectorArgs:
    """Return a selector of the one namespace of that name."""
    return k8s.meta.v1.LabelSelectorArgs(match_labels={"kubernetes.io/metadata.name": name})


def kind_config(name: str, own: OwnCluster) -> str:
    """Return what kind is told about the cluster."""
    return Template(KIND_CONFIG.read_text(encoding="utf-8")).substitute(
        name=name,
        node_image=own.node_image,
        api_address=_API_ADDRESS,
        api_port=0,
        bind_address=own.address,
        gateway_port=own.port,
    )
