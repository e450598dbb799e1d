"""What the local image registry has: asked over its HTTP API."""

from __future__ import annotations

import hashlib
import http.client
import json
import tarfile
from dataclasses import dataclass
from typing import Any, cast

from toolchain.daemons import REGISTRY_ADDRESS, REGISTRY_HOST, REGISTRY_PORT
from toolchain.steps import StepError

_ACCEPT = (
    "application/vnd.docker.distribution.manifest.v2+json, "
    "application/vnd.oci.image.manifest.v1+json"
)
_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Manifest:
    """An image as the registry has it; `layers` are the digests of what it unpacks from.

    `shipped_bytes` is what travels (compressed) to a host without any of it.
    """

    digest: str
    image_id: str
    layers: tuple[str, ...]
    shipped_bytes: int


def reference(name: str, key: str) -> str:
    """Return the name under which the registry holds an image."""
    return f"{REGISTRY_ADDRESS}/triptych/{name}:{key}"


def _connection() -> http.client.HTTPConnection:
    return http.client.HTTPConnection(REGISTRY_HOST, REGISTRY_PORT, timeout=_TIMEOUT_S)


def manifest(name: str, which: str) -> Manifest | None:
    """Return the manifest of the image that a key or digest names.

    None if the registry does not have it or does not answer.
    """
    connection = _connection()
    try:
        path = f"/v2/triptych/{name}/manifests/{which}"
        connection.request("GET", path, headers={"Accept": _ACCEPT})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            return None
        found: dict[str, Any] = json.loads(body)
        config, layers = found["config"], found["layers"]
        return Manifest(
            digest=f"sha256:{hashlib.sha256(body).hexdigest()}",
            image_id=config["digest"],
            layers=tuple(layer["digest"] for layer in layers),
            shipped_bytes=int(config["size"]) + sum(int(layer["size"]) for layer in layers),
        )
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return None
    finally:
        connection.close()


def unpacked_bytes(name: str, layers: tuple[str, ...]) -> int:
    """Return what the files in layers take, which is what dockerd gives as their size.

    Raises StepError if the registry does not send them whole.
    """
    total = 0
    for digest in layers:
        connection = _connection()
        try:
            connection.request("GET", f"/v2/triptych/{name}/blobs/{digest}")
            answer = connection.getresponse()
            if answer.status != 200:
                raise StepError(f"the registry answers {answer.status} for a layer of {name}")
            with tarfile.open(fileobj=cast(Any, answer), mode="r|*") as archive:
                total += sum(member.size for member in archive if member.isreg())
        except (OSError, http.client.HTTPException, tarfile.TarError, EOFError) as error:
            raise StepError(f"the registry does not send a layer of {name}: {error}") from error
        finally:
            connection.close()
    return total
