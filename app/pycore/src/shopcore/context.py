"""Who asks and who answers: the current request's id, and this process's own."""

import re
from contextvars import ContextVar
from uuid import uuid4

REQUEST_ID_HEADER = b"x-request-id"
INSTANCE_ID_HEADER = b"x-instance-id"
_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)

#: Visible to everything that runs on the request's behalf.
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
#: Names this process among those that answer for the service.
instance_id = uuid4().hex


def accept_request_id(offered: str | None) -> str:
    """Return the caller's id if it is well formed, else a fresh one."""
    if offered is not None and _ACCEPTED.fullmatch(offered):
        return offered
    return uuid4().hex
