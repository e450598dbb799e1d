"""What the stacks of all models do alike when they put a shop together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi

from settings import Settings
from shop import catalogue
from shop.model import Service
from stacks.artefacts import PROJECT_ROOT, Artefacts

#: The names that the gateway's certificate is good for, besides addresses.
DNS_NAMES: Final = ("shop.triptych.test", "localhost")


@dataclass(frozen=True)
class Parts:
    """A shape's services by their part in a stack."""

    datastores: tuple[Service, ...]
    workload: tuple[Service, ...]
    gateway: Service

    @property
    def all(self) -> tuple[Service, ...]:
        """Return every service, those that others need first."""
        return (*self.datastores, *self.workload, self.gateway)


def split(services: tuple[Service, ...]) -> Parts:
    """Sort a shape's services into what keeps data, what does the work and the way in."""
    others = tuple(s for s in services if s.name != catalogue.GATEWAY)
    return Parts(
        datastores=tuple(s for s in others if s.name in catalogue.DATASTORES),
        workload=tuple(s for s in others if s.name not in catalogue.DATASTORES),
        gateway=next(s for s in services if s.name == catalogue.GATEWAY),
    )


def certificate_addresses(*addresses: str) -> list[str]:
    """Return the addresses for the gateway's certificate: the loopback and those given, once."""
    wanted = ["127.0.0.1", *(a for a in addresses if a != "0.0.0.0")]
    return list(dict.fromkeys(wanted))


def environment(
    settings: Settings, artefacts: Artefacts, services: Iterable[Service]
) -> dict[str, dict[str, str]]:
    """Return what each of the shop's own services is told beyond its model, by its name.

    That is what it calls its version (the key of its sources, and so the same in each model), and
    which known costs it is to have, if any.
    """
    told: dict[str, dict[str, str]] = {}
    for service in services:
        if service.name in catalogue.SURROUNDINGS:
            continue
        own = told.setdefault(service.name, {})
        if service.image in artefacts.sources:
            own["RELEASE"] = artefacts.sources[service.image]
        if settings.known_costs and service.name in catalogue.KNOWN_COSTS_TAKEN_BY:
            own["KNOWN_COSTS"] = settings.known_costs
    return told


def accelerator(setting: str) -> str:
    """Return ``kvm`` or ``tcg``: as set, or what a guest has been seen to get on this host."""
    if setting != "auto":
        return setting
    from toolchain.accelerator import detect

    return detect().kind


def merged(groups: Sequence[dict[str, str]]) -> dict[str, str]:
    """Return one dictionary out of several."""
    return {key: value for group in groups for key, value in group.items()}


def flattened(groups: Sequence[list[str]]) -> list[str]:
    """Return one sorted list out of several."""
    return sorted(value for group in groups for value in group)


def warn_if_outdated(artefacts: Artefacts, names: Iterable[str]) -> None:
    """Warn when sources have changed since the artefacts were built, naming what changed."""
    from toolchain.artefacts.keys import source_keys

    now = source_keys(PROJECT_ROOT)
    changed = sorted(
        name
        for name in names
        if name in now and name in artefacts.sources and now[name] != artefacts.sources[name]
    )
    if changed:
        pulumi.log.warn(
            f"changed since it was built: {', '.join(changed)};"
            " what is deployed is the older build (`make build` brings it up to date)"
        )
