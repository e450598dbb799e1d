"""Looking at the host before anything is declared, so that what is wrong is said in one line.

Run by previews too, so it only looks, never touches, and is quick. `destroy` does not run the
program and hence none of this: nothing here can keep a user from removing a stack.
"""

from __future__ import annotations

import errno
import shutil
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import pulumi

_MIB: Final = 1024 * 1024


class PreflightError(pulumi.RunError):
    """The host is not fit for the stack; the text is one line that says what to do."""


def port_is_free(address: str, port: int) -> bool:
    """Return whether a server could listen there now; true too where that can't be tried."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: a port whose last connections are still winding down counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise PreflightError(
                    f"triptych:bind_address: this host has no address {address}"
                ) from None
            return error.errno != errno.EADDRINUSE
    return True


def require_space(path: Path, needed_bytes: int, purpose: str) -> None:
    """Refuse to go on when the file system under ``path`` has less than ``needed_bytes`` left.

    Raises:
        PreflightError: if there is too little room. A path that can't be looked at is no reason.
    """
    existing = next((p for p in (path, *path.parents) if p.exists()), None)
    if existing is None:
        return
    try:
        free_bytes = shutil.disk_usage(existing).free
    except OSError:
        return
    if free_bytes < needed_bytes:
        raise PreflightError(
            f"disk too small: {purpose} needs {needed_bytes // _MIB} MiB in {path},"
            f" {free_bytes // _MIB} MiB are free"
        )


def one_line(error: object) -> str:
    """Return an error's text with line breaks and repeated blanks folded into single blanks."""
    return " ".join(str(error).split())


def before_create(
    hooks: Mapping[str, Callable[[pulumi.ResourceHookArgs], None]], names: str = ""
) -> None:
    """Call a function just before the engine creates a resource of a type, in `up` alone.

    ``hooks`` has the function by the resource type's token; those resources are meant whose Pulumi
    name starts with ``names``. It must be called before any resource is declared.
    """
    bindings: dict[str, pulumi.ResourceHookBinding] = {}

    def attach(
        args: pulumi.ResourceTransformationArgs,
    ) -> pulumi.ResourceTransformationResult | None:
        hook = hooks.get(args.type_)
        if hook is None or not args.name.startswith(names):
            return None
        if args.type_ not in bindings:
            bindings[args.type_] = pulumi.ResourceHookBinding(
                before_create=[pulumi.ResourceHook(f"{names}leftover-{args.type_}", hook)]
            )
        opts = pulumi.ResourceOptions.merge(
            args.opts, pulumi.ResourceOptions(hooks=bindings[args.type_])
        )
        return pulumi.ResourceTransformationResult(args.props, opts)

    pulumi.runtime.register_stack_transformation(attach)
