"""What the components of every model have in common: their arguments' shape.

Each model's ``platform``, ``datastore``, ``workload`` and ``gateway`` modules have classes of the
same names with arguments of these shapes and the same outputs, so that a stack reads the same
whatever the model is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import pulumi

from shop.model import Service

PlatformT = TypeVar("PlatformT")

#: The first part of every component's type token; fixed, as a new token would replace everything.
TOKEN_PACKAGE = "shop"


@dataclass(frozen=True, kw_only=True)
class PlatformArgs:
    """Arguments of a platform: what the shop's services run on."""

    stack: str
    prefix: str
    keep_images: bool


@dataclass(frozen=True, kw_only=True)
class ServicesArgs(Generic[PlatformT]):
    """Arguments of a component that runs services on a platform.

    ``secrets`` has the content of each secret file by the credential's name.
    """

    platform: PlatformT
    services: tuple[Service, ...]
    secrets: Mapping[str, pulumi.Input[str]]


@dataclass(frozen=True, kw_only=True)
class DatastoreArgs(ServicesArgs[PlatformT]):
    """Arguments of the services that keep data."""


@dataclass(frozen=True, kw_only=True)
class WorkloadArgs(ServicesArgs[PlatformT]):
    """Arguments of the shop's own services.

    ``environment`` has what each is told beyond what the shop's model says.
    """

    environment: Mapping[str, Mapping[str, str]]


def environment_of(args: WorkloadArgs[PlatformT], service: Service) -> dict[str, str]:
    """Return what a service is told beyond what the shop's model says; empty if nothing."""
    return dict(args.environment.get(service.name, {}))


@dataclass(frozen=True, kw_only=True)
class GatewayArgs(ServicesArgs[PlatformT]):
    """Arguments of the way in; customers reach it at ``address`` and ``port``."""

    address: str
    port: int


def storefront_url(address: str, port: int) -> str:
    """Return the shop's address as a browser on this host uses it."""
    # "All addresses" is nowhere to connect to; the loopback is among them.
    host = "127.0.0.1" if address == "0.0.0.0" else address
    return f"https://{host}" if port == 443 else f"https://{host}:{port}"
