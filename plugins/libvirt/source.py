"""Sources of a volume's contents: a local file or an http(s) URL."""

from __future__ import annotations

import io
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import urlsplit
from urllib.request import url2pathname

from plugins.bridge import UserError

_QCOW2_MAGIC = b"QFI\xfb"
_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Source:
    """An open source: its bytes from the start, their number, and whether they are a qcow2."""

    stream: BinaryIO
    size_bytes: int
    is_qcow2: bool
    is_file: bool


@contextmanager
def opened(location: str) -> Iterator[Source]:
    """Open a path, file: URL or http(s) URL; raises UserError when it can't be read."""
    parts = urlsplit(location)
    if parts.scheme in ("http", "https"):
        with _opened_url(location) as source:
            yield source
        return
    if parts.scheme not in ("", "file"):
        raise UserError(
            f"source {location}: '{parts.scheme}' is not supported; give a path, file:// or http(s)"
        )
    path = Path(url2pathname(parts.path) if parts.scheme == "file" else location)
    try:
        stream = path.open("rb")
    except OSError as error:
        raise UserError(f"source {location}: {error.strerror}") from error
    with stream:
        if path.is_dir():
            raise UserError(f"source {location}: is a directory")
        magic = stream.read(len(_QCOW2_MAGIC))
        stream.seek(0)
        size_bytes = os.fstat(stream.fileno()).st_size
        yield Source(stream, size_bytes, magic == _QCOW2_MAGIC, is_file=True)


@contextmanager
def _opened_url(location: str) -> Iterator[Source]:
    try:
        response = urllib.request.urlopen(location, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        raise UserError(f"source {location}: {error.code} {error.reason}") from error
    except (urllib.error.URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise UserError(f"source {location}: {reason}") from error
    with response:
        length = response.headers.get("Content-Length")
        if length is None:
            raise UserError(f"source {location}: the server does not say how large it is")
        magic = response.read(len(_QCOW2_MAGIC))
        stream = cast(BinaryIO, io.BufferedReader(_Rejoined(magic, response), 1 << 20))
        yield Source(stream, int(length), magic == _QCOW2_MAGIC, is_file=False)


class _Rejoined(io.RawIOBase):
    """A stream whose first bytes were read already."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head = head
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        data = self._head or self._rest.read(len(buffer))
        taken = data[: len(buffer)]
        self._head = data[len(taken) :] if self._head else b""
        buffer[: len(taken)] = taken
        return len(taken)
