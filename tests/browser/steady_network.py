"""Runs a program that does not hear of the host's network interfaces coming and going.

Docker makes and removes some with every container. Chromium then drops its HTTP/2 connections, and
with them what is under way (ERR_NETWORK_CHANGED). It hears of it through a netlink socket; if it
cannot have one it takes the network for steady, so a filter refuses these sockets to it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
#: Number of the system call `socket`.
_SOCKET = {"x86_64": 41, "aarch64": 198}
_AF_NETLINK, _NETLINK_ROUTE = 16, 0
#: Where the filter finds the call's number, and its first and third argument.
_NUMBER, _FAMILY, _PROTOCOL = 0, 16, 32


def _filter(socket: int) -> bytes:
    """Return the BPF program that refuses socket(AF_NETLINK, ..., NETLINK_ROUTE)."""
    program = (
        (_LOAD, 0, 0, _NUMBER),
        (_JUMP_IF_EQUAL, 0, 5, socket),
        (_LOAD, 0, 0, _FAMILY),
        (_JUMP_IF_EQUAL, 0, 3, _AF_NETLINK),
        (_LOAD, 0, 0, _PROTOCOL),
        (_JUMP_IF_EQUAL, 0, 1, _NETLINK_ROUTE),
        (_RETURN, 0, 0, _ERRNO | errno.EAFNOSUPPORT),
        (_RETURN, 0, 0, _ALLOW),
    )
    return b"".join(struct.pack("HBBI", *instruction) for instruction in program)


def steady_network() -> None:
    """Refuse these sockets to this process and all that it starts; nothing where unsupported."""
    socket = _SOCKET.get(platform.machine())
    if socket is None:
        return
    code = _filter(socket)
    instructions = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(instructions))
    libc = ctypes.CDLL(None, use_errno=True)
    for option in (
        (_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, program, 0, 0),
    ):
        if libc.prctl(*option):
            raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":
    steady_network()
    os.execvp(sys.argv[1], sys.argv[1:])
