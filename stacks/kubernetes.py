"""The shop in Kubernetes: a kind cluster, or the user's, with each service as a workload."""

from __future__ import annotations

import os
from collections.abc import Mapping

import pulumi
import pulumi_docker as docker

from components.credentials import Credentials, CredentialsArgs
from components.kubernetes.datastore import Datastore, DatastoreArgs
from components.kubernetes.gateway import Gateway, GatewayArgs
from components.kubernetes.platform import (
    ExistingCluster,
    OwnCluster,
    Platform,
    PlatformArgs,
    RegistryMirror,
)
from components.kubernetes.rollout import Rollout, RolloutArgs
from components.kubernetes.workload import Workload, WorkloadArgs
from settings import Settings
from shop import catalogue
from stacks import docker_host, kubernetes_host, parts
from stacks.artefacts import Artefacts, Image
from stacks.hosts import PreflightError
from stacks.outputs import StackOutputs
from toolchain.paths import Paths

_HTTPS_PORT = 443
#: The image of the registry that a cluster of our own pulls from.
_REGISTRY_IMAGE = "registry"


def build(settings: Settings) -> StackOutputs:
    """Declare the stack and return its outputs."""
    names = settings.names
    shop = parts.split(catalogue.services(settings.shape))
    artefacts = Artefacts.load()
    images = {
        service.image: artefacts.image(service.image).from_registry(settings.registry)
        for service in shop.all
    }
    parts.warn_if_outdated(artefacts, images)
    address, port = _way_in(settings)
    opts = pulumi.ResourceOptions()
    cluster: OwnCluster | ExistingCluster
    if settings.cluster == "kind":
        cluster = _own_cluster(settings, artefacts, images)
        provider = docker.Provider(f"{names}docker", host=settings.docker_host)
        opts = pulumi.ResourceOptions(providers=[provider])
    else:
        cluster = _existing_cluster(settings)

    named = isinstance(cluster, ExistingCluster)
    credentials = Credentials(
        f"{names}credentials",
        CredentialsArgs(
            dns_names=(address, *parts.DNS_NAMES) if named else parts.DNS_NAMES,
            ip_addresses=parts.certificate_addresses(*(() if named else (address,))),
        ),
    )
    secrets = {**credentials.secret_files(), "stripe_api_key": settings.stripe_api_key}
    platform = Platform(
        f"{names}platform",
        PlatformArgs(
            stack=settings.stack,
            prefix=settings.prefix,
            keep_images=settings.keep_images,
            images={name: image.ref for name, image in images.items()},
            services=shop.all,
            cluster=cluster,
        ),
        opts,
    )
    datastore = Datastore(
        f"{names}datastore",
        DatastoreArgs(platform=platform, services=shop.datastores, secrets=secrets),
        # A volume must never be older than the password in it.
        pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[credentials])),
    )
    workload = Workload(
        f"{names}workload",
        WorkloadArgs(
            platform=platform,
            services=shop.workload,
            secrets=secrets,
            environment=parts.environment(settings, artefacts, shop.workload),
        ),
        opts,
    )
    gateway = Gateway(
        f"{names}gateway",
        GatewayArgs(
            platform=platform,
            services=(shop.gateway,),
            secrets=secrets,
            address=address,
            port=port,
        ),
        opts,
    )
    groups = (datastore, workload, gateway)
    Rollout(
        f"{names}rollout",
        RolloutArgs(
            namespace=platform.namespace,
            kubeconfig=platform.kubeconfig,
            context=platform.context,
            revisions=pulumi.Output.all(
                **{name: revision for g in groups for name, revision in g.revisions.items()}
            ),
        ),
        pulumi.ResourceOptions(depends_on=groups, deleted_with=platform.goes_with),
    )
    return StackOutputs(
        model="kubernetes",
        shape=settings.shape,
        storefront_url=gateway.url,
        ca_certificate=credentials.ca_certificate,
        limits=catalogue.total_limits(shop.all),
        prefix=settings.prefix,
        accelerator="none",
        inspect={
            "cluster": settings.prefix if settings.cluster == "kind" else settings.context,
            "node": f"{settings.prefix}-control-plane" if settings.cluster == "kind" else None,
            "kubeconfig": platform.kubeconfig,
            "context": platform.context,
            "namespace": platform.namespace,
            "workloads": pulumi.Output.all(*(g.instances for g in groups)).apply(parts.merged),
            "volumes": pulumi.Output.all(*(g.volumes for g in groups)).apply(parts.flattened),
            "network": platform.network,
            "registry": platform.registry,
            "images": {s.name: images[s.image].ref for s in shop.all},
        },
    )


def _way_in(settings: Settings) -> tuple[str, int]:
    """Return the address and the port at which customers reach the ingress controller."""
    if settings.storefront_host is None:
        return str(settings.bind_address), settings.gateway_port
    host, _, port = settings.storefront_host.partition(":")
    return host, int(port or _HTTPS_PORT)


def _own_cluster(
    settings: Settings, artefacts: Artefacts, images: Mapping[str, Image]
) -> OwnCluster:
    node = artefacts.require_node()
    mirror = None
    if settings.registry is None:
        storage = Paths.find().registry / "data"
        if not storage.is_dir():
            raise PreflightError(
                f"the local image registry keeps nothing in {storage}: run `make build` first,"
                " or set triptych:registry to the one that has the images"
            )
        mirror = RegistryMirror(
            image=artefacts.image(_REGISTRY_IMAGE).ref,
            storage=storage,
            uid=os.stat(storage).st_uid,  # noqa: PTH116
        )
    address = str(settings.bind_address)
    host = docker_host.DockerHost(settings.docker_host)
    kubernetes_host.check_own(
        host,
        stack=settings.stack,
        prefix=settings.prefix,
        registry=f"{settings.prefix}-registry" if mirror else None,
        address=address,
        port=settings.gateway_port,
        node=node,
        images=images,
        limits=catalogue.total_limits(catalogue.services(settings.shape)),
    )
    kubernetes_host.clear_leftovers(host, settings.stack, settings.prefix, settings.names)
    return OwnCluster(
        node_image=node.ref,
        address=address,
        port=settings.gateway_port,
        docker_host=settings.docker_host,
        mirror=mirror,
    )


def _existing_cluster(settings: Settings) -> ExistingCluster:
    context = settings.context or ""
    access = kubernetes_host.ClusterAccess(kubeconfig=settings.kubeconfig, context=context)
    kubernetes_host.check_existing(
        access,
        stack=settings.stack,
        prefix=settings.prefix,
        ingress_class=settings.ingress_class,
        storage_class=settings.storage_class,
    )
    return ExistingCluster(
        kubeconfig=settings.kubeconfig,
        context=context,
        ingress_class=settings.ingress_class,
        ingress_namespace=settings.ingress_namespace,
        storage_class=settings.storage_class,
    )
