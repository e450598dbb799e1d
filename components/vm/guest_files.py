"""What cloud-init writes into the guest so that its units can start a service.

The units and their settings are in the guest's disk (`shop/guest/`), made from the same model. What
differs from one deployment to the next comes here: `/etc/triptych/env/<service>`, which overrides
settings, and the credentials in `/etc/triptych/secrets/<name>`, each of which systemd shows to the
services that load it alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pulumi

from shop.model import Service

ENV_DIR = "/etc/triptych/env"
SECRETS_DIR = "/etc/triptych/secrets"


def unit_name(service: Service) -> str:
    """Return the name of the service's systemd unit."""
    return f"triptych-{service.name}.service"


#: cloud-init's ``write_files`` entries by path: services that share a secret share its file.
Files = dict[str, pulumi.Output[dict[str, Any]]]


def for_services(
    services: Iterable[Service],
    secrets: Mapping[str, pulumi.Input[str]],
    env: Callable[[Service], Mapping[str, str]] = lambda _service: {},
) -> Files:
    """Return what cloud-init writes for services; ``env`` has what is set for one beyond all."""
    files: Files = {}
    for service in services:
        lines = "".join(f"{key}={_quoted(value)}\n" for key, value in env(service).items())
        if lines:
            path = f"{ENV_DIR}/{service.name}"
            files[path] = pulumi.Output.from_input(_entry(path, lines, "0644"))
        for secret in service.secrets:
            path = f"{SECRETS_DIR}/{secret.name}"
            content = pulumi.Output.secret(secrets[secret.name])
            files[path] = pulumi.Output.from_input(_entry(path, content, "0600"))
    return files


def _entry(path: str, content: pulumi.Input[str], permissions: str) -> dict[str, Any]:
    return {"path": path, "owner": "root:root", "permissions": permissions, "content": content}


def _quoted(value: str) -> str:
    """Return a value as systemd's EnvironmentFile= reads it back unchanged."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return '"' + escaped.replace("`", "\\`") + '"'
