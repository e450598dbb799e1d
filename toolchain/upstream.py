"""Release downloads, where they are reached at once; never a hang where they are not."""

from __future__ import annotations

import concurrent.futures
import functools
import hashlib
import http.client
import re
import ssl
import tarfile
import threading
import urllib.error
import urllib.request
from pathlib import Path

from toolchain.errors import ToolchainError

RELEASE_HOST = "github.com"
#: Where kindest/node would be pulled from.
IMAGE_HOST = "registry-1.docker.io"
PROBE_S = 4.0
READ_TIMEOUT_S = 20.0
_CHUNK = 1 << 20

_probe_lock = threading.Lock()


@functools.cache
def _probe(host: str) -> bool:
    """Connect to a host once; name resolution counts against the limit as well."""

    def connect() -> bool:
        connection = http.client.HTTPSConnection(
            host, timeout=PROBE_S, context=ssl.create_default_context()
        )
        try:
            connection.request("HEAD", "/")
            return connection.getresponse().status < 500
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    pool = concurrent.futures.ThreadPoolExecutor(max_workers=1)
    try:
        return pool.submit(connect).result(timeout=PROBE_S)
    except concurrent.futures.TimeoutError:
        return False
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def reachable() -> bool:
    """Tell whether upstream releases can be fetched here. Asked once, remembered for the run."""
    with _probe_lock:
        return _probe(RELEASE_HOST)


def images_reachable() -> bool:
    """Tell whether upstream's images can be pulled here. Asked once, remembered for the run."""
    with _probe_lock:
        return _probe(IMAGE_HOST)


def fetch(url: str, limit_bytes: int = 1 << 30) -> bytes:
    """Return what is at an https URL; raises ToolchainError where that fails."""
    if not url.startswith("https://"):
        raise ToolchainError(f"refusing to download over anything but https: {url}")
    try:
        with urllib.request.urlopen(url, timeout=READ_TIMEOUT_S) as response:
            parts: list[bytes] = []
            size = 0
            while part := response.read(_CHUNK):
                parts.append(part)
                size += len(part)
                if size > limit_bytes:
                    raise ToolchainError(f"{url} is larger than {limit_bytes} bytes")
            return b"".join(parts)
    except (OSError, http.client.HTTPException, urllib.error.URLError) as error:
        raise ToolchainError(f"could not download {url}", str(error)) from error


def checksum_for(checksums: str, file_name: str) -> str:
    """Return the sha256 that a release's checksums file gives for `file_name`.

    Raises ToolchainError if the file is not listed.
    """
    if re.fullmatch(r"[0-9a-fA-F]{64}", checksums.strip()):
        return checksums.strip().lower()  # A file for this one alone.
    for line in checksums.splitlines():
        fields = line.split()
        if len(fields) == 2 and fields[1].lstrip("*") == file_name and len(fields[0]) == 64:
            return fields[0].lower()
    raise ToolchainError(f"the release's checksums do not list {file_name}")


def fetch_verified(base_url: str, file_name: str, checksums_name: str) -> bytes:
    """Download a release file and check it against the release's own checksums file."""
    wanted = checksum_for(fetch(f"{base_url}/{checksums_name}", 1 << 20).decode(), file_name)
    content = fetch(f"{base_url}/{file_name}")
    got = hashlib.sha256(content).hexdigest()
    if got != wanted:
        raise ToolchainError(f"{file_name} has sha256 {got}, its release says {wanted}")
    return content


def unpack(archive: Path, into: Path) -> None:
    """Unpack a .tar.gz, refusing members that would land outside `into`."""
    with tarfile.open(archive) as tar:
        tar.extractall(into, filter="data")
