"""The connection to the daemon, as the provider's configuration asks for it."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import docker
import docker.errors
import docker.tls
import requests.exceptions

from plugins.bridge import Provider, Schema, UserError, list_of, object_of, string
from plugins.docker.errors import cause

_TIMEOUT_S = 600  # a pull or a stop may be long; the daemon has its own time-outs


class DaemonProvider(Provider):
    """A provider that talks to a Docker daemon."""

    config: ClassVar[Schema] = {
        "host": string(),
        "certPath": string(),
        "caMaterial": string(),
        "certMaterial": string(),
        "keyMaterial": string(),
        "registryAuth": list_of(
            object_of(
                {
                    "address": string(required=True),
                    "username": string(),
                    "password": string(),
                }
            )
        ),
    }

    def __init__(self) -> None:
        self._config: Mapping[str, Any] = {}
        self._client: docker.APIClient | None = None
        self._lock = threading.Lock()

    def configure(self, config: Mapping[str, Any]) -> None:
        """Take the configuration; the daemon is asked for when a resource needs it."""
        self._config = config

    @property
    def client(self) -> docker.APIClient:
        """The connection to the daemon, shared by all calls."""
        with self._lock:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def registry_auth(self, registry: str) -> dict[str, str] | None:
        """Return the credentials configured for a registry; None leaves it to ~/.docker."""
        for entry in self._config.get("registryAuth") or ():
            address = entry["address"].removeprefix("https://").removeprefix("http://").rstrip("/")
            if address == registry and entry.get("username"):
                return {"username": entry["username"], "password": entry.get("password", "")}
        return None

    def _connect(self) -> docker.APIClient:
        host = self._config.get("host") or os.environ.get("DOCKER_HOST") or None
        try:
            return docker.APIClient(
                base_url=host,
                version="auto",
                timeout=_TIMEOUT_S,
                tls=self._tls(),
                use_ssh_client=bool(host and host.startswith("ssh://")),
            )
        except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
            where = host or "unix:///var/run/docker.sock"
            raise UserError(f"can't reach the Docker daemon at {where}: {cause(error)}") from error

    def _tls(self) -> Any:
        path = self._config.get("certPath") or os.environ.get("DOCKER_CERT_PATH")
        material = {
            name: self._config.get(f"{name}Material")
            or os.environ.get(f"DOCKER_{name.upper()}_MATERIAL")
            for name in ("ca", "cert", "key")
        }
        if any(material.values()):
            if not all(material.values()):
                raise UserError("docker: caMaterial, certMaterial and keyMaterial go together")
            # The files are read when a connection is made, so they live as long as the plugin.
            self._tls_dir = tempfile.TemporaryDirectory(prefix="pulumi-docker-tls-")
            path = self._tls_dir.name
            for name, text in material.items():
                Path(path, f"{name}.pem").write_text(str(text))
        if not path:
            return False
        files = {name: str(Path(path, f"{name}.pem")) for name in ("ca", "cert", "key")}
        return docker.tls.TLSConfig(
            client_cert=(files["cert"], files["key"]), ca_cert=files["ca"], verify=True
        )
