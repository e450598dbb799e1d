"""One service of the shop as a hardened container, with its volumes and its secrets.

What is said explicitly here although the daemon would fill it in: upstream's plugin reads it back
and would show a change in each preview. `memory_swap` without which `memory` drifts;
`network_mode`, always "changed" if left out (pulumi-docker 1272); `log_opts`, where the daemon has
defaults of its own; `working_dir`, which an image may set; durations below a minute, as "60s" is
read back as "1m0s". One network per container, as two may swap their order (1651). `wait=False`:
readiness is for the probe to time, and a tool's waiting would be counted with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi
import pulumi_docker as docker

from components.docker.platform import STACK_LABEL, Platform
from shop.model import SECRETS_DIR, Service

_LOG_DRIVER = "json-file"
_LOG_OPTS = {"max-file": "3", "max-size": "10m"}
_SERVICE_LABEL = "triptych.service"
_ROLE_LABEL = "triptych.role"


@dataclass(frozen=True)
class Published:
    """Where on the host a service's port can be reached."""

    address: str
    port: int


@dataclass
class Running:
    """What was declared for a service: names in the daemon, for outputs."""

    container: pulumi.Output[str]
    volumes: list[pulumi.Output[str]] = field(default_factory=list)


def run(
    name: str,
    service: Service,
    platform: Platform,
    secrets: Mapping[str, pulumi.Input[str]],
    opts: pulumi.ResourceOptions,
    *,
    env: Mapping[str, str] | None = None,
    published: Published | None = None,
) -> Running:
    """Declare a service's volumes, secrets and container as children (``opts`` has the parent)."""
    prefix = f"{platform.prefix}-{service.name}"
    # Fixed names: two of the same can't be there at once.
    fixed = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(delete_before_replace=True))
    image_id = platform.image_ids[service.image]
    data = [
        docker.Volume(
            f"{name}-data" if mount.name == service.name else f"{name}-data-{mount.name}",
            name=f"{platform.prefix}-{mount.name}-data",
            labels=_volume_labels(platform, service),
            opts=fixed,
        )
        for mount in service.data
    ]
    mounts = [
        docker.ContainerVolumeArgs(volume_name=volume.name, container_path=mount.path)
        for volume, mount in zip(data, service.data, strict=True)
    ]
    volumes = [volume.name for volume in data]
    replace_with: list[pulumi.Resource] = []
    if service.secrets:
        store = docker.Volume(
            f"{name}-secrets",
            name=f"{prefix}-secrets",
            labels=_volume_labels(platform, service),
            opts=fixed,
        )
        carrier = _secrets_carrier(name, service, platform, store, secrets, fixed)
        replace_with.append(carrier)
        volumes.append(store.name)
        mounts.append(
            docker.ContainerVolumeArgs(
                volume_name=store.name, container_path=SECRETS_DIR, read_only=True
            )
        )
    container = docker.Container(
        name,
        name=prefix,
        image=image_id,
        command=list(service.command),
        envs=[f"{k}={v}" for k, v in {**service.environment(), **(env or {})}.items()],
        hostname=service.name,
        user=f"{service.uid}:{service.uid}",
        working_dir="/",
        network_mode="bridge",
        networks_advanced=[
            docker.ContainerNetworksAdvancedArgs(name=platform.network, aliases=[service.name])
        ],
        ports=[
            docker.ContainerPortArgs(
                internal=service.port,
                external=published.port,
                ip=published.address,
                protocol="tcp",
            )
        ]
        if published
        else None,
        volumes=mounts or None,
        tmpfs={
            mount.path: (
                f"rw,noexec,nosuid,nodev,size={mount.size_mib}m,"
                f"uid={service.uid},gid={service.uid},mode=0700"
            )
            for mount in service.tmpfs
        }
        or None,
        read_only=True,
        capabilities=docker.ContainerCapabilitiesArgs(drops=["ALL"]),
        security_opts=["no-new-privileges:true"],
        memory=service.limits.memory_mib,
        memory_swap=service.limits.memory_mib,
        cpus=f"{service.limits.cpus:g}",
        healthcheck=docker.ContainerHealthcheckArgs(
            tests=["CMD", *service.health.command],
            interval=f"{service.health.interval_s}s",
            timeout=f"{service.health.timeout_s}s",
            start_period=f"{service.health.start_period_s}s",
            retries=service.health.retries,
        ),
        restart="unless-stopped",
        stop_signal=service.stop_signal,
        stop_timeout=service.stop_grace_s,
        destroy_grace_seconds=service.stop_grace_s,
        log_driver=_LOG_DRIVER,
        log_opts=_LOG_OPTS,
        labels=_container_labels(platform, service, "service"),
        must_run=True,
        wait=False,
        opts=pulumi.ResourceOptions.merge(
            fixed,
            pulumi.ResourceOptions(
                # The files must be in the volume before the service starts, and it reads them
                # once: new ones take a new container. No data passes from one to the other.
                depends_on=replace_with,
                replace_with=replace_with,
            ),
        ),
    )
    return Running(container=container.name, volumes=volumes)


def _secrets_carrier(
    name: str,
    service: Service,
    platform: Platform,
    store: docker.Volume,
    secrets: Mapping[str, pulumi.Input[str]],
    opts: pulumi.ResourceOptions,
) -> docker.Container:
    """Declare the container that is never started: secret files get into the volume through it.

    Neither environment variables nor images may hold secrets, and into the service's own container
    they can't be copied: upstream's plugin copies to "/", which the daemon refuses where the root
    file system is read-only ("container rootfs is marked read-only").
    """
    return docker.Container(
        f"{name}-carrier",
        name=f"{platform.prefix}-{service.name}-secrets",
        image=platform.image_ids[service.image],
        command=["/bin/true"],
        working_dir="/",
        user=f"{service.uid}:{service.uid}",
        network_mode="none",
        volumes=[docker.ContainerVolumeArgs(volume_name=store.name, container_path=SECRETS_DIR)],
        uploads=[
            docker.ContainerUploadArgs(
                file=secret.path,
                content=pulumi.Output.secret(secrets[secret.name]),
                # Readable for the service's user, who is not root; only its container has the
                # volume.
                permissions="0444",
            )
            for secret in service.secrets
        ],
        capabilities=docker.ContainerCapabilitiesArgs(drops=["ALL"]),
        security_opts=["no-new-privileges:true"],
        memory=16,
        memory_swap=16,
        restart="no",
        log_driver=_LOG_DRIVER,
        log_opts=_LOG_OPTS,
        labels=_container_labels(platform, service, "secrets"),
        start=False,
        must_run=False,
        wait=False,
        opts=opts,
    )


def _labels(platform: Platform, service: Service) -> dict[str, str]:
    return {STACK_LABEL: platform.stack, _SERVICE_LABEL: service.name}


def _volume_labels(platform: Platform, service: Service) -> list[docker.VolumeLabelArgs]:
    return [
        docker.VolumeLabelArgs(label=label, value=value)
        for label, value in _labels(platform, service).items()
    ]


def _container_labels(
    platform: Platform, service: Service, role: str
) -> list[docker.ContainerLabelArgs]:
    labels = {**_labels(platform, service), _ROLE_LABEL: role}
    return [docker.ContainerLabelArgs(label=label, value=value) for label, value in labels.items()]
