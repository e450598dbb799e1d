"""The daemon's errors as one line that says what to do."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import docker.errors
import requests.exceptions

from plugins.bridge import UserError


def cause(error: Exception) -> str:
    """Return the daemon's own words, or the last cause of a broken connection, on one line."""
    if isinstance(error, docker.errors.APIError):
        text = str(error.explanation or error)
    else:
        text = str(error)
        if "PermissionError" in text:
            text = "permission denied (is the user in the group docker?)"
        elif "FileNotFoundError" in text or "ConnectionRefusedError" in text:
            text = "it is not running"
    return " ".join(text.split())


@contextlib.contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn the daemon's errors into one line: `what` and the cause."""
    try:
        yield
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        raise UserError(f"{what}: {cause(error)}") from error
