"""What the daemon says while it builds: BuildKit's trace or the classic builder's lines."""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

_KEPT_LINES = 3
_LINE_CHARS = 200
_MASKED_CHARS = 6  # shorter values would blot out half the text

# Field numbers of BuildKit's StatusResponse (api/services/control/control.proto).
_VERTEX, _LOG = 1, 3
_VERTEX_NAME, _VERTEX_STARTED, _VERTEX_ERROR = 3, 5, 7
_LOG_MESSAGE = 4


class BuildLog:
    """Collects a build's messages; `error` is the reason of a failure, on one line."""

    def __init__(self, args: Mapping[str, str]) -> None:
        # The builder repeats commands with their arguments put in, and one may be a secret.
        self._masks = {
            value: f"${{{name}}}" for name, value in args.items() if len(value) >= _MASKED_CHARS
        }
        self._reason: str | None = None
        self._last: deque[str] = deque(maxlen=_KEPT_LINES)

    @property
    def error(self) -> str | None:
        """Why the build failed, with the last lines of its output; None when it did not."""
        if self._reason is None:
            return None
        said = " | ".join(line for line in self._last if line not in self._reason)
        return self._masked(f"{self._reason} ({said})" if said else self._reason)

    def add(self, message: dict[str, Any]) -> str | None:
        """Take one message of the stream and return a line worth showing."""
        line = self._line(message)
        return None if line is None else self._masked(line)

    def _masked(self, text: str) -> str:
        for value, mask in self._masks.items():
            text = text.replace(value, mask)
        return text

    def _line(self, message: dict[str, Any]) -> str | None:
        if "error" in message:
            self._reason = " ".join(str(message["error"]).split())
            return None
        if message.get("id") == "moby.buildkit.trace":
            return self._trace(base64.b64decode(message["aux"]))
        line = " ".join(str(message.get("stream") or message.get("status") or "").split())
        if line:
            self._last.append(line[:_LINE_CHARS])
        return line or None

    def _trace(self, data: bytes) -> str | None:
        shown = None
        for number, value in _fields(data):
            if number == _VERTEX and isinstance(value, bytes):
                vertex = dict(_fields(value))
                name = vertex.get(_VERTEX_NAME)
                if _VERTEX_STARTED in vertex and isinstance(name, bytes):
                    shown = name.decode(errors="replace")
            elif number == _LOG and isinstance(value, bytes):
                text = dict(_fields(value)).get(_LOG_MESSAGE)
                if isinstance(text, bytes):
                    lines = text.decode(errors="replace").splitlines()
                    self._last.extend(
                        " ".join(line.split())[:_LINE_CHARS] for line in lines if line
                    )
        return shown


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield (number, value) of a protobuf message's fields, all that is needed of it here."""
    position = 0

    def varint() -> int:
        nonlocal position
        result = shift = 0
        while True:
            byte = data[position]
            position += 1
            result |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return result

    while position < len(data):
        key = varint()
        number, wire_type = key >> 3, key & 7
        if wire_type == 0:
            yield number, varint()
            continue
        size = {1: 8, 5: 4}.get(wire_type)
        if size is None:
            size = varint()
        yield number, data[position : position + size]
        position += size
