"""The shop in plain Docker: a network, a container per service, the gateway on a host port."""

from __future__ import annotations

import pulumi
import pulumi_docker as docker

from components.credentials import Credentials, CredentialsArgs
from components.docker.datastore import Datastore, DatastoreArgs
from components.docker.gateway import Gateway, GatewayArgs
from components.docker.platform import Platform, PlatformArgs
from components.docker.workload import Workload, WorkloadArgs
from settings import Settings
from shop import catalogue
from stacks import docker_host, parts
from stacks.artefacts import Artefacts
from stacks.outputs import StackOutputs


def build(settings: Settings) -> StackOutputs:
    """Declare the stack and return its outputs."""
    names = settings.names
    shop = parts.split(catalogue.services(settings.shape))
    artefacts = Artefacts.load()
    images = {
        service.image: artefacts.image(service.image).from_registry(settings.registry)
        for service in shop.all
    }
    address = str(settings.bind_address)
    host = docker_host.DockerHost(settings.docker_host)
    containers = {service.name: f"{settings.prefix}-{service.name}" for service in shop.all}
    docker_host.check(
        host,
        stack=settings.stack,
        containers=tuple(containers.values()),
        gateway=containers[catalogue.GATEWAY],
        address=address,
        port=settings.gateway_port,
        images=images,
    )
    docker_host.clear_leftovers(host, settings.stack, names)
    parts.warn_if_outdated(artefacts, images)

    provider = docker.Provider(f"{names}docker", host=settings.docker_host)
    opts = pulumi.ResourceOptions(providers=[provider])
    credentials = Credentials(
        f"{names}credentials",
        CredentialsArgs(
            dns_names=parts.DNS_NAMES, ip_addresses=parts.certificate_addresses(address)
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
        ),
        opts,
    )
    datastore = Datastore(
        f"{names}datastore",
        DatastoreArgs(platform=platform, services=shop.datastores, secrets=secrets),
        # A data volume must never be older than the password in it: after a run that was killed,
        # the next one finds the volume and goes on with it.
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
            port=settings.gateway_port,
        ),
        opts,
    )
    groups = (datastore, workload, gateway)
    return StackOutputs(
        model="docker",
        shape=settings.shape,
        storefront_url=gateway.url,
        ca_certificate=credentials.ca_certificate,
        limits=catalogue.total_limits(shop.all),
        prefix=settings.prefix,
        accelerator="none",
        inspect={
            "docker_host": host.address,
            "containers": pulumi.Output.all(*(g.instances for g in groups)).apply(parts.merged),
            "network": platform.network,
            "volumes": pulumi.Output.all(*(g.volumes for g in groups)).apply(parts.flattened),
            "images": {s.name: images[s.image].ref for s in shop.all},
        },
    )
