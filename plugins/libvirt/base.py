"""What the resource types share: the connection, and errors as one line."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import libvirt

from plugins.bridge import Provider, Resource, string
from plugins.libvirt.connection import Connection
from plugins.libvirt.errors import explain, is_not_found

if TYPE_CHECKING:
    from collections.abc import Callable

    from plugins.bridge import Operation, Prop

T = TypeVar("T")

XSLT: dict[str, Prop] = {"xslt": string(force_new=True)}
_BUSY_RETRY_S = 30.0
_BUSY_POLL_S = 0.1
# Codes of "try again": a pool with an upload running can't be refreshed, a volume still being
# written can't be deleted.
_BUSY_TEXTS = ("asynchronous jobs running", "is still being allocated", "in use")


class ConnectedProvider(Provider):
    """A provider with a connection to libvirt."""

    connection: Connection


class LibvirtResource(Resource[ConnectedProvider]):
    """A resource type on the provider's connection."""

    @property
    def libvirt(self) -> libvirt.virConnect:
        """The open connection."""
        return self.provider.connection()


@contextlib.contextmanager
def failing_as(doing: str) -> Iterator[None]:
    """Turn libvirt's errors into one line that says what was being done."""
    try:
        yield
    except libvirt.libvirtError as error:
        raise explain(error, doing) from error


def found(look_up: Callable[..., T], *args: Any) -> T | None:
    """Call a look-up; None when libvirt does not know the object."""
    try:
        return look_up(*args)
    except libvirt.libvirtError as error:
        if is_not_found(error):
            return None
        raise


def retry_while_busy(op: Operation | None, call: Callable[[], object]) -> None:
    """Call until libvirt stops saying that the object is busy, for up to 30 s."""
    deadline = time.monotonic() + _BUSY_RETRY_S
    while True:
        try:
            call()
        except libvirt.libvirtError as error:
            busy = any(text in str(error) for text in _BUSY_TEXTS)
            if not busy or time.monotonic() > deadline or (op and op.cancelled.is_set()):
                raise
            time.sleep(_BUSY_POLL_S)
        else:
            return


def quietly(call: Callable[[], object]) -> None:
    """Call as part of cleaning up after a failure: a further failure would hide the first."""
    with contextlib.suppress(libvirt.libvirtError):
        call()
