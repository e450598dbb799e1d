"""The plugin's one connection to libvirt, opened when a resource first needs it."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import libvirt

from plugins.bridge import UserError
from plugins.libvirt.errors import one_line

DEFAULT_URI = "qemu:///system"


class Connection:
    """A connection to libvirt at `uri`; safe to use from several threads."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._open: libvirt.virConnect | None = None
        self._lock = threading.Lock()
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        # libvirt prints every error to stderr unless a handler takes it.
        libvirt.registerErrorHandler(lambda context, error: None, None)

    def __call__(self) -> libvirt.virConnect:
        """Return the open connection; raises UserError when there is none to be had."""
        with self._lock:
            if self._open is None or not self._open.isAlive():
                try:
                    self._open = libvirt.open(_for_c_library(self.uri))
                except libvirt.libvirtError as error:
                    raise _connection_error(self.uri, error) from error
            return self._open

    @contextmanager
    def exclusive(self, name: str) -> Iterator[None]:
        """Hold a named lock of this process, for steps that libvirt does not do concurrently."""
        with self._lock:
            lock = self._locks[name]
        with lock:
            yield


def _for_c_library(uri: str) -> str:
    """Translate the query that upstream's own ssh client reads into libvirt's own words."""
    parts = urlsplit(uri)
    if "ssh" not in parts.scheme:
        return uri
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    query.pop("sshauth", None)
    if query.pop("known_hosts_verify", query.pop("knownhosts_verify", "")) == "ignore":
        query["no_verify"] = "1"
    query.setdefault("no_tty", "1")  # never ask for a password: nobody could answer
    return urlunsplit(parts._replace(query=urlencode(query)))


def _connection_error(uri: str, error: libvirt.libvirtError) -> UserError:
    message = one_line(error.get_error_message() or str(error))
    if "authentication" in message or "Permission denied" in message:
        return UserError(
            f"no permission to use libvirt at {uri}: {message} "
            "(run as root or as a member of the group libvirt)"
        )
    if "No such file" in message or "Connection refused" in message:
        return UserError(
            f"libvirt does not answer at {uri}: {message} (start libvirtd, or set the "
            "provider's `uri` or LIBVIRT_DEFAULT_URI)"
        )
    return UserError(f"can't connect to libvirt at {uri}: {message}")
