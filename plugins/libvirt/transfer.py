"""Bytes into and out of volumes, through libvirt's streams."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator

import libvirt

from plugins.bridge import Operation, UserError
from plugins.libvirt.base import quietly
from plugins.libvirt.source import Source

# libvirt's stream messages carry 256 KiB; larger reads only save calls of ours.
_CHUNK_BYTES = 256 * 1024 - 64
_STATUS_EVERY_S = 1.0


def upload(
    connection: libvirt.virConnect,
    op: Operation,
    volume: libvirt.virStorageVol,
    source: Source,
    *,
    sparse: bool,
) -> None:
    """Write the whole source into the volume, with a line of progress each second.

    `sparse` leaves out the holes of a file: only for a new raw volume, which reads as zeros.
    Raises libvirtError, OSError, or UserError when cancelled or when the source is cut short.
    """
    sparse = sparse and source.is_file
    flags = libvirt.VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM if sparse else 0
    stream = connection.newStream(0)
    try:
        volume.upload(stream, 0, source.size_bytes, flags)
        sent_bytes, shown_s = 0, time.monotonic()
        for piece in _pieces(source, sparse=sparse):
            if op.cancelled.is_set():
                raise UserError(f"upload of volume '{volume.name()}' was cancelled")
            if isinstance(piece, int):
                stream.sendHole(piece)
                sent_bytes += piece
            else:
                _send(stream, piece)
                sent_bytes += len(piece)
            if time.monotonic() - shown_s > _STATUS_EVERY_S:
                shown_s = time.monotonic()
                percent = 100 * sent_bytes // max(source.size_bytes, 1)
                op.status(f"uploading: {percent} % of {source.size_bytes / 2**20:.0f} MiB")
        if sent_bytes != source.size_bytes:
            raise UserError(
                f"upload of volume '{volume.name()}': the source ended after {sent_bytes} of "
                f"{source.size_bytes} bytes"
            )
        stream.finish()
    except BaseException:
        quietly(stream.abort)
        raise


def _send(stream: libvirt.virStream, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[stream.send(bytes(view)) :]


def _pieces(source: Source, *, sparse: bool) -> Iterator[bytes | int]:
    """Yield the source as bytes and, for a sparse file, lengths of holes."""
    if not sparse:
        while data := source.stream.read(_CHUNK_BYTES):
            yield data
        return
    descriptor, position = source.stream.fileno(), 0
    while position < source.size_bytes:
        start = _next_data(descriptor, position, source.size_bytes)
        if start > position:
            yield start - position
        end = os.lseek(descriptor, start, os.SEEK_HOLE) if start < source.size_bytes else start
        position = start
        while position < end:
            data = os.pread(descriptor, min(_CHUNK_BYTES, end - position), position)
            if not data:
                return
            yield data
            position += len(data)


def _next_data(descriptor: int, position: int, size_bytes: int) -> int:
    try:
        return os.lseek(descriptor, position, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a hole up to the end of the file
            return size_bytes
        raise


def download(
    connection: libvirt.virConnect, volume: libvirt.virStorageVol, size_bytes: int
) -> bytes:
    """Read the first `size_bytes` of a volume."""
    stream = connection.newStream(0)
    try:
        volume.download(stream, 0, size_bytes, 0)
        pieces = []
        while piece := stream.recv(_CHUNK_BYTES):
            pieces.append(piece)
        stream.finish()
    except BaseException:
        quietly(stream.abort)
        raise
    return b"".join(pieces)
