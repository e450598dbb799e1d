"""One service of the shop as a hardened pod, with all that belongs to it.

ConfigMap and Secret are immutable and named by Pulumi: another content is another object, and a
workload that names it rolls its pods. `skipAwait`: readiness is for the probe to time, and a
tool's waiting would be counted with it; what can't start at all is told by ``Rollout``.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pulumi
import pulumi_kubernetes as k8s

from components.kubernetes.addons import SKIP_AWAIT, TAKE_OVER
from components.kubernetes.platform import Platform
from shop.model import SECRETS_DIR, Limits, Service

#: A pod leaves its Service before it is told to end: so long clients may still be sent to it.
DRAIN_S: Final = 5
#: A start may take this long (a database that is not there is waited for) before it is repeated.
_START_S: Final = 600
#: What a pod is promised of its CPU limit. All limits together are the whole budget, and a
#: cluster's own pods need some of the same cores.
_CPU_REQUESTED: Final = 0.25
#: The part of its CPU limit from which on another replica is wanted.
_CPU_BUSY: Final = 0.7
_SCALE_DOWN_AFTER_S: Final = 60


@dataclass
class Running:
    """What was declared for a service: names in the cluster, for outputs.

    ``revision`` is another one whenever the pods are.
    """

    workload: pulumi.Output[str]
    revision: pulumi.Output[str]
    volumes: list[pulumi.Output[str]] = field(default_factory=list)


def run(
    name: str,
    service: Service,
    platform: Platform,
    secrets: Mapping[str, pulumi.Input[str]],
    parent: pulumi.Resource,
    *,
    env: Mapping[str, str] | None = None,
    callers: list[k8s.networking.v1.NetworkPolicyPeerArgs] | None = None,
) -> Running:
    """Declare a service's objects as children of ``parent``.

    ``callers`` may use its port beside the services that need it; an empty list means anybody.
    """
    opts = platform.inside(parent)
    # Names are fixed but for the two of immutable content: two of the same can't be there at once.
    fixed = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(delete_before_replace=True))
    account = k8s.core.v1.ServiceAccount(
        f"{name}-account",
        metadata=_metadata(platform, service),
        automount_service_account_token=False,
        opts=fixed,
    )
    environment = {**service.environment(), **(env or {})}
    config = (
        k8s.core.v1.ConfigMap(
            f"{name}-env",
            metadata=_metadata(platform, service, named=False),
            data=environment,
            immutable=True,
            opts=opts,
        )
        if environment
        else None
    )
    files = (
        k8s.core.v1.Secret(
            f"{name}-secrets",
            metadata=_metadata(platform, service, named=False),
            type="Opaque",
            data={s.name: encoded(secrets[s.name]) for s in service.secrets},
            immutable=True,
            opts=opts,
        )
        if service.secrets
        else None
    )
    claims = [
        k8s.core.v1.PersistentVolumeClaim(
            f"{name}-data" if mount.name == service.name else f"{name}-data-{mount.name}",
            metadata=_metadata(platform, service, name=f"{mount.name}-data", skip_await=True),
            spec=k8s.core.v1.PersistentVolumeClaimSpecArgs(
                access_modes=["ReadWriteOnce"],
                storage_class_name=platform.storage_class,
                resources=k8s.core.v1.VolumeResourceRequirementsArgs(
                    requests={"storage": _mebibytes(mount.size_mib)}
                ),
            ),
            opts=fixed,
        )
        for mount in service.data
    ]
    template = k8s.core.v1.PodTemplateSpecArgs(
        metadata=k8s.meta.v1.ObjectMetaArgs(labels=platform.labels(service)),
        spec=_pod(service, platform, account, config, files, claims),
    )
    workload = _workload(name, service, platform, template, fixed)
    k8s.core.v1.Service(
        f"{name}-service",
        metadata=_metadata(platform, service, skip_await=True),
        spec=k8s.core.v1.ServiceSpecArgs(
            type="ClusterIP",
            selector=selector(service),
            ports=[
                k8s.core.v1.ServicePortArgs(
                    name=_PORT_NAME,
                    port=service.port,
                    target_port=_PORT_NAME,
                    protocol="TCP",
                    app_protocol=_app_protocol(service),
                )
            ],
        ),
        opts=fixed,
    )
    if service.replicas_max > service.replicas:
        _autoscaler(name, service, platform, fixed)
    k8s.policy.v1.PodDisruptionBudget(
        f"{name}-budget",
        metadata=_metadata(platform, service, skip_await=True),
        spec=k8s.policy.v1.PodDisruptionBudgetSpecArgs(
            # Not `minAvailable`: one replica would keep its node from ever being drained.
            max_unavailable=1,
            unhealthy_pod_eviction_policy="AlwaysAllow",
            selector=k8s.meta.v1.LabelSelectorArgs(match_labels=selector(service)),
        ),
        opts=fixed,
    )
    _policy(name, service, platform, callers, fixed)
    return Running(
        workload=workload.metadata.name,
        revision=workload.spec.template.apply(_digest),
        volumes=[claim.metadata.name for claim in claims],
    )


_PORT_NAME: Final = "main"


def selector(service: Service) -> dict[str, str]:
    """Return the labels by which a service's pods are found."""
    return {"app.kubernetes.io/name": service.name}


def encoded(content: pulumi.Input[str]) -> pulumi.Output[str]:
    """Return a secret's content as a Secret's ``data`` holds it, marked as secret."""
    secret: pulumi.Output[str] = pulumi.Output.secret(content)
    return secret.apply(lambda text: base64.b64encode(text.encode()).decode())


def _metadata(
    platform: Platform,
    service: Service,
    *,
    name: str | None = None,
    named: bool = True,
    skip_await: bool = False,
) -> k8s.meta.v1.ObjectMetaArgs:
    return k8s.meta.v1.ObjectMetaArgs(
        name=(name or service.name) if named else None,
        namespace=platform.namespace,
        labels=platform.labels(service),
        annotations={**TAKE_OVER, **(SKIP_AWAIT if skip_await else {})},
    )


def _workload(
    name: str,
    service: Service,
    platform: Platform,
    template: k8s.core.v1.PodTemplateSpecArgs,
    opts: pulumi.ResourceOptions,
) -> k8s.apps.v1.Deployment | k8s.apps.v1.StatefulSet:
    pods = k8s.meta.v1.LabelSelectorArgs(match_labels=selector(service))
    metadata = _metadata(platform, service, skip_await=True)
    if service.data:
        return k8s.apps.v1.StatefulSet(
            name,
            metadata=metadata,
            spec=k8s.apps.v1.StatefulSetSpecArgs(
                replicas=service.replicas,
                # Else a pod that can't start is never replaced by a better one.
                pod_management_policy="Parallel",
                # Not headless: its name is to resolve before the first pod is ready, as resolvers
                # remember for a while that there was none.
                service_name=service.name,
                selector=pods,
                template=template,
            ),
            opts=opts,
        )
    return k8s.apps.v1.Deployment(
        name,
        metadata=metadata,
        spec=k8s.apps.v1.DeploymentSpecArgs(
            # Where an autoscaler decides, nobody else does.
            replicas=None if service.replicas_max > service.replicas else service.replicas,
            revision_history_limit=3,
            strategy=k8s.apps.v1.DeploymentStrategyArgs(
                type="RollingUpdate",
                rolling_update=k8s.apps.v1.RollingUpdateDeploymentArgs(
                    max_unavailable=0, max_surge=1
                ),
            ),
            selector=pods,
            template=template,
        ),
        opts=opts,
    )


def _pod(
    service: Service,
    platform: Platform,
    account: k8s.core.v1.ServiceAccount,
    config: k8s.core.v1.ConfigMap | None,
    files: k8s.core.v1.Secret | None,
    claims: list[k8s.core.v1.PersistentVolumeClaim],
) -> k8s.core.v1.PodSpecArgs:
    volumes: list[k8s.core.v1.VolumeArgs] = []
    mounts: list[k8s.core.v1.VolumeMountArgs] = []
    for mount, claim in zip(service.data, claims, strict=True):
        volumes.append(
            k8s.core.v1.VolumeArgs(
                name=f"data-{mount.name}",
                persistent_volume_claim=k8s.core.v1.PersistentVolumeClaimVolumeSourceArgs(
                    claim_name=claim.metadata.name
                ),
            )
        )
        mounts.append(k8s.core.v1.VolumeMountArgs(name=f"data-{mount.name}", mount_path=mount.path))
    if files is not None:
        volumes.append(
            k8s.core.v1.VolumeArgs(
                name="secrets",
                secret=k8s.core.v1.SecretVolumeSourceArgs(
                    secret_name=files.metadata.name,
                    # Of root's, readable for the pod's group.
                    default_mode=0o440,
                ),
            )
        )
        mounts.append(
            k8s.core.v1.VolumeMountArgs(name="secrets", mount_path=SECRETS_DIR, read_only=True)
        )
    for number, tmpfs in enumerate(service.tmpfs):
        volumes.append(
            k8s.core.v1.VolumeArgs(
                name=f"tmp-{number}",
                empty_dir=k8s.core.v1.EmptyDirVolumeSourceArgs(
                    medium="Memory", size_limit=_mebibytes(tmpfs.size_mib)
                ),
            )
        )
        mounts.append(k8s.core.v1.VolumeMountArgs(name=f"tmp-{number}", mount_path=tmpfs.path))
    drain_s = 0 if service.data else DRAIN_S
    return k8s.core.v1.PodSpecArgs(
        service_account_name=account.metadata.name,
        automount_service_account_token=False,
        enable_service_links=False,
        termination_grace_period_seconds=drain_s + service.stop_grace_s,
        security_context=k8s.core.v1.PodSecurityContextArgs(
            run_as_non_root=True,
            run_as_user=service.uid,
            run_as_group=service.uid,
            fs_group=service.uid,
            fs_group_change_policy="OnRootMismatch",
            seccomp_profile=k8s.core.v1.SeccompProfileArgs(type="RuntimeDefault"),
        ),
        topology_spread_constraints=[
            k8s.core.v1.TopologySpreadConstraintArgs(
                max_skew=1,
                topology_key="kubernetes.io/hostname",
                when_unsatisfiable="ScheduleAnyway",
                label_selector=k8s.meta.v1.LabelSelectorArgs(match_labels=selector(service)),
            )
        ],
        containers=[
            k8s.core.v1.ContainerArgs(
                name=service.name,
                image=platform.images[service.image],
                image_pull_policy="IfNotPresent",
                command=list(service.command),
                working_dir="/",
                env_from=[
                    k8s.core.v1.EnvFromSourceArgs(
                        config_map_ref=k8s.core.v1.ConfigMapEnvSourceArgs(name=config.metadata.name)
                    )
                ]
                if config is not None
                else None,
                ports=[
                    k8s.core.v1.ContainerPortArgs(
                        name=_PORT_NAME, container_port=service.port, protocol="TCP"
                    )
                ],
                resources=_resources(service.limits),
                security_context=k8s.core.v1.SecurityContextArgs(
                    allow_privilege_escalation=False,
                    read_only_root_filesystem=True,
                    capabilities=k8s.core.v1.CapabilitiesArgs(drop=["ALL"]),
                ),
                lifecycle=k8s.core.v1.LifecycleArgs(
                    pre_stop=k8s.core.v1.LifecycleHandlerArgs(
                        sleep=k8s.core.v1.SleepActionArgs(seconds=drain_s)
                    )
                )
                if drain_s
                else None,
                volume_mounts=mounts or None,
                **_probes(service),
            )
        ],
        volumes=volumes or None,
    )


def _probes(service: Service) -> dict[str, Any]:
    """Return the three probes.

    It joins its Service when it has been ready once. From then on a store that is away does not
    take it out: it says so itself, in the contract's words, where a gateway could only say that
    nobody is there. Liveness is slower than readiness, as its remedy is a restart.
    """
    health = service.health
    well = _question(service, health.path)
    return {
        "startup_probe": k8s.core.v1.ProbeArgs(
            **_question(service, health.ready_path or health.path),
            period_seconds=1,
            timeout_seconds=health.timeout_s,
            failure_threshold=_START_S,
        ),
        "readiness_probe": k8s.core.v1.ProbeArgs(
            **well,
            period_seconds=health.interval_s,
            timeout_seconds=health.timeout_s,
            failure_threshold=health.retries,
        ),
        "liveness_probe": k8s.core.v1.ProbeArgs(
            **well,
            period_seconds=3 * health.interval_s,
            timeout_seconds=health.timeout_s,
            failure_threshold=health.retries,
        ),
    }


def _question(service: Service, path: str | None) -> dict[str, Any]:
    if service.health.connects:
        return {"tcp_socket": k8s.core.v1.TCPSocketActionArgs(port=_PORT_NAME)}
    if path:
        return {"http_get": k8s.core.v1.HTTPGetActionArgs(path=path, port=_PORT_NAME)}
    # `exec` is a keyword of none, but the SDK takes it with an underscore.
    return {"exec_": k8s.core.v1.ExecActionArgs(command=list(service.health.command))}


def _autoscaler(
    name: str, service: Service, platform: Platform, opts: pulumi.ResourceOptions
) -> None:
    k8s.autoscaling.v2.HorizontalPodAutoscaler(
        f"{name}-autoscaler",
        metadata=_metadata(platform, service, skip_await=True),
        spec=k8s.autoscaling.v2.HorizontalPodAutoscalerSpecArgs(
            scale_target_ref=k8s.autoscaling.v2.CrossVersionObjectReferenceArgs(
                api_version="apps/v1", kind="Deployment", name=service.name
            ),
            min_replicas=service.replicas,
            max_replicas=service.replicas_max,
            metrics=[
                k8s.autoscaling.v2.MetricSpecArgs(
                    type="Resource",
                    resource=k8s.autoscaling.v2.ResourceMetricSourceArgs(
                        name="cpu",
                        # Against the limit: a share of what is requested would say little.
                        target=k8s.autoscaling.v2.MetricTargetArgs(
                            type="AverageValue",
                            average_value=_cores(service.limits.cpus * _CPU_BUSY),
                        ),
                    ),
                )
            ],
            behavior=k8s.autoscaling.v2.HorizontalPodAutoscalerBehaviorArgs(
                scale_up=k8s.autoscaling.v2.HPAScalingRulesArgs(
                    stabilization_window_seconds=0,
                    select_policy="Max",
                    policies=[
                        k8s.autoscaling.v2.HPAScalingPolicyArgs(
                            type="Percent", value=100, period_seconds=15
                        )
                    ],
                ),
                scale_down=k8s.autoscaling.v2.HPAScalingRulesArgs(
                    stabilization_window_seconds=_SCALE_DOWN_AFTER_S,
                    select_policy="Max",
                    policies=[
                        k8s.autoscaling.v2.HPAScalingPolicyArgs(
                            type="Pods", value=1, period_seconds=15
                        )
                    ],
                ),
            ),
        ),
        opts=opts,
    )


def _policy(
    name: str,
    service: Service,
    platform: Platform,
    callers: list[k8s.networking.v1.NetworkPolicyPeerArgs] | None,
    opts: pulumi.ResourceOptions,
) -> None:
    """Open the edges of ``Service.needs`` at this service's end; all else stays closed."""
    peers = [_peer(client) for client in platform.clients_of(service)] + list(callers or ())
    anybody = callers is not None and not callers
    k8s.networking.v1.NetworkPolicy(
        f"{name}-policy",
        metadata=_metadata(platform, service),
        spec=k8s.networking.v1.NetworkPolicySpecArgs(
            pod_selector=k8s.meta.v1.LabelSelectorArgs(match_labels=selector(service)),
            policy_types=["Ingress", "Egress"],
            ingress=[
                k8s.networking.v1.NetworkPolicyIngressRuleArgs(
                    from_=None if anybody else peers, ports=[_policy_port(service)]
                )
            ]
            if peers or anybody
            else None,
            egress=[
                k8s.networking.v1.NetworkPolicyEgressRuleArgs(
                    to=[_peer(needed)], ports=[_policy_port(needed)]
                )
                for needed in platform.needed_by(service)
            ]
            or None,
        ),
        opts=opts,
    )


def _peer(service: Service) -> k8s.networking.v1.NetworkPolicyPeerArgs:
    return k8s.networking.v1.NetworkPolicyPeerArgs(
        pod_selector=k8s.meta.v1.LabelSelectorArgs(match_labels=selector(service))
    )


def _policy_port(service: Service) -> k8s.networking.v1.NetworkPolicyPortArgs:
    return k8s.networking.v1.NetworkPolicyPortArgs(port=service.port, protocol="TCP")


def _app_protocol(service: Service) -> str | None:
    """Return how the service is spoken to, where that is more than a connection."""
    if any(s.name == "tls_certificate" for s in service.secrets):
        return "https"
    return "http" if service.health.path else None


def _resources(limits: Limits) -> k8s.core.v1.ResourceRequirementsArgs:
    memory = _mebibytes(limits.memory_mib)
    return k8s.core.v1.ResourceRequirementsArgs(
        limits={"cpu": _cores(limits.cpus), "memory": memory},
        requests={"cpu": _cores(limits.cpus * _CPU_REQUESTED), "memory": memory},
    )


def _cores(cpus: float) -> str:
    """Return a quantity of CPU in the form in which the API server keeps it."""
    thousandths = max(1, round(cpus * 1000))
    whole, rest = divmod(thousandths, 1000)
    return f"{thousandths}m" if rest else str(whole)


def _mebibytes(mib: int) -> str:
    """Return a quantity of bytes in the form in which the API server keeps it."""
    return f"{mib}Mi" if mib % 1024 else f"{mib // 1024}Gi"


def _digest(template: Any) -> str:
    text = json.dumps(_plain(template), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    # The SDK's dictionaries have properties of their own, some of them called `items`.
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in dict.items(value)}
    return [_plain(item) for item in value] if isinstance(value, list) else value
