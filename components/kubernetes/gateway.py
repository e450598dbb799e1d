"""Kubernetes' gateway: the way in, behind the cluster's ingress controller."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s

from components import base
from components.kubernetes import pod
from components.kubernetes.addons import SKIP_AWAIT, TAKE_OVER
from components.kubernetes.platform import Platform, in_namespace
from shop.model import Service


@dataclass(frozen=True, kw_only=True)
class GatewayArgs(base.GatewayArgs[Platform]):
    """Arguments of ``Gateway``.

    ``address`` and ``port`` are the ingress controller's, as customers reach it; an address that
    is a name is the only one that the shop answers to.
    """


class Gateway(pulumi.ComponentResource):
    """The reverse proxy that all models have, and the Ingress that leads to it.

    TLS ends at the Ingress and is used again from there to the gateway.

    Outputs: ``url``, the storefront's address; ``instances``, its Deployment by the service's
    name; ``volumes``, none.
    """

    url: pulumi.Output[str]
    instances: pulumi.Output[dict[str, str]]
    volumes: pulumi.Output[list[str]]

    def __init__(
        self, name: str, args: GatewayArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(f"{base.TOKEN_PACKAGE}:kubernetes:Gateway", name, None, opts)
        controller = args.platform.ingress_namespace
        callers = (
            [k8s.networking.v1.NetworkPolicyPeerArgs(namespace_selector=in_namespace(controller))]
            if controller
            else []
        )
        running = {
            service.name: pod.run(
                f"{name}-{service.name}",
                service,
                args.platform,
                args.secrets,
                self,
                callers=callers,
            )
            for service in args.services
        }
        for service in args.services:
            self._ingress(f"{name}-{service.name}", service, args)
        self.revisions = {k: r.revision for k, r in running.items()}
        self.url = pulumi.Output.from_input(base.storefront_url(args.address, args.port))
        self.instances = pulumi.Output.all(**{k: r.workload for k, r in running.items()})
        self.volumes = pulumi.Output.all(*(v for r in running.values() for v in r.volumes))
        self.register_outputs(
            {"url": self.url, "instances": self.instances, "volumes": self.volumes}
        )

    def _ingress(self, name: str, service: Service, args: GatewayArgs) -> None:
        platform = args.platform
        opts = platform.inside(self)
        certificate = k8s.core.v1.Secret(
            f"{name}-certificate",
            metadata=k8s.meta.v1.ObjectMetaArgs(
                namespace=platform.namespace, labels=platform.labels(service)
            ),
            type="kubernetes.io/tls",
            data={
                "tls.crt": pod.encoded(args.secrets["tls_certificate"]),
                "tls.key": pod.encoded(args.secrets["tls_private_key"]),
            },
            immutable=True,
            opts=opts,
        )
        # A rule's host can't be an address: by address it is the shop for whatever name is asked.
        host = None if _is_address(args.address) else args.address
        k8s.networking.v1.Ingress(
            f"{name}-ingress",
            metadata=k8s.meta.v1.ObjectMetaArgs(
                name=service.name,
                namespace=platform.namespace,
                labels=platform.labels(service),
                annotations={**TAKE_OVER, **SKIP_AWAIT},
            ),
            spec=k8s.networking.v1.IngressSpecArgs(
                ingress_class_name=platform.ingress_class,
                tls=[
                    k8s.networking.v1.IngressTLSArgs(
                        secret_name=certificate.metadata.name, hosts=[host] if host else None
                    )
                ],
                rules=[
                    k8s.networking.v1.IngressRuleArgs(
                        host=host,
                        http=k8s.networking.v1.HTTPIngressRuleValueArgs(
                            paths=[
                                k8s.networking.v1.HTTPIngressPathArgs(
                                    path="/",
                                    path_type="Prefix",
                                    backend=k8s.networking.v1.IngressBackendArgs(
                                        service=k8s.networking.v1.IngressServiceBackendArgs(
                                            name=service.name,
                                            port=k8s.networking.v1.ServiceBackendPortArgs(
                                                number=service.port
                                            ),
                                        )
                                    ),
                                )
                            ]
                        ),
                    )
                ],
            ),
            opts=pulumi.ResourceOptions.merge(
                opts, pulumi.ResourceOptions(delete_before_replace=True)
            ),
        )


def _is_address(text: str) -> bool:
    return all(part.isdigit() for part in text.split("."))
