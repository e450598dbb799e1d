"""What the resource types of the daemon share."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import docker.errors

from plugins.bridge import Entry, Operation, Resource, object_of, string
from plugins.docker.connection import DaemonProvider

LABEL = object_of({"label": string(required=True), "value": string(required=True)})

_IN_USE_WAIT_S = 15.0
_IN_USE_POLL_S = 0.2
_CREATE_LIMIT_S = 60.0  # the daemon's answer to a create takes far less


class DockerResource(Resource[DaemonProvider]):
    """A resource type of the daemon."""

    @property
    def client(self) -> Any:
        """The daemon's API."""
        return self.provider.client

    def remove_when_free(
        self, op: Operation, remove: Callable[[], None], holders: Callable[[], dict[str, str]]
    ) -> None:
        """Remove something that containers may still hold; that it is gone is success.

        A container on its way out is waited for. One that a killed run of this stack left behind,
        unknown to the state, is removed first. `holders` gives the names of containers by id.
        """
        deadline = time.monotonic() + _IN_USE_WAIT_S
        while True:
            try:
                remove()
                return
            except docker.errors.NotFound:
                return
            except docker.errors.APIError as error:
                if not re.search("active endpoints|in use", str(error.explanation)):
                    raise
                found = holders()
                for entry in op.journal.of_killed_runs():
                    # A run killed before it learned the id is known by the temporary name.
                    if entry.id in found or temporary_name(entry) in found.values():
                        remove_container(self.client, entry.id or temporary_name(entry))
                        entry.drop()
                if time.monotonic() > deadline or op.cancelled.wait(_IN_USE_POLL_S):
                    raise


def temporary_name(entry: Entry) -> str:
    """Return the name that a container has until the journal knows its id."""
    return f"{entry.name}.{entry.token}"


def remove_container(client: Any, id: str, *, volumes: bool = True) -> None:
    """Remove a container, running or not, with its anonymous volumes."""
    with contextlib.suppress(docker.errors.NotFound):
        try:
            client.remove_container(id, v=volumes, force=True)
        except docker.errors.APIError as error:
            if "is already in progress" not in str(error.explanation):
                raise
            client.wait(id, condition="removed")


def made_by(entries: list[Entry], id: str | None, created: str) -> bool:
    """Tell whether an object was made by one of the killed runs that `entries` are of.

    The recorded id proves it. A run killed before it learned the id had found the name free just
    before; so an object created right after the entry was written is that run's.
    """
    created_unix_s = parse_time(created)
    return any(
        entry.id == id
        if entry.id is not None and id is not None
        # Whole seconds in some of the daemon's times.
        else -1.0 <= created_unix_s - entry.started_unix_s <= _CREATE_LIMIT_S
        for entry in entries
    )


def parse_time(text: str) -> float:
    """Return the daemon's RFC 3339 time as seconds since the epoch."""
    match = re.match(r"(\d+-\d+-\d+T\d+:\d+:\d+)(\.\d+)?(Z|[+-]\d+:\d+)$", text)
    if match is None:
        return 0.0
    whole, fraction, zone = match.groups()
    stamp = datetime.fromisoformat(whole + ("+00:00" if zone == "Z" else zone)).timestamp()
    return stamp + float(fraction or 0)


def labels_to_map(labels: list[dict[str, Any]] | None) -> dict[str, str]:
    """Return `[{label, value}]` as the daemon wants it."""
    return {entry["label"]: entry["value"] for entry in labels or ()}


def labels_from_map(labels: dict[str, str] | None) -> list[dict[str, str]]:
    """Return the daemon's labels as `[{label, value}]`."""
    return [{"label": label, "value": value} for label, value in sorted((labels or {}).items())]
