"""The cloud-init disk's ISO 9660 image: writing with mkisofs, reading without help."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from plugins.bridge import UserError

_SECTOR_BYTES = 2048
_PROGRAMS = ("mkisofs", "genisoimage", "xorrisofs")
_DIRECTORY_FLAG = 2


def written(files: Mapping[str, str]) -> bytes:
    """Return an image with volume label `cidata` and the given files in its root.

    Raises UserError when no program that makes such images is installed, or it fails.
    """
    program = next((p for p in _PROGRAMS if shutil.which(p)), None)
    if program is None:
        raise UserError(
            f"a cloud-init disk needs one of the programs {', '.join(_PROGRAMS)} (Debian package "
            "genisoimage)"
        )
    # The files may hold secrets: the folder is private (0700) and goes at once.
    with tempfile.TemporaryDirectory(prefix="triptych-cloudinit-") as folder:
        image = Path(folder, "image")
        paths = []
        for name, content in files.items():
            path = Path(folder, name)
            path.write_bytes(content.encode())
            paths.append(str(path))
        command = [program, "-output", str(image), "-volid", "cidata", "-joliet", "-rock", *paths]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"}
        )
        if done.returncode != 0:
            reason = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
            raise UserError(f"{program} could not make the cloud-init disk: {reason}")
        return image.read_bytes()


def read(image: bytes) -> dict[str, str]:
    """Return the files in the image's root by their plain ISO names, such as `USER_DAT`.

    Raises ValueError when the image is not ISO 9660.
    """
    descriptor = image[16 * _SECTOR_BYTES : 17 * _SECTOR_BYTES]
    if len(descriptor) < _SECTOR_BYTES or descriptor[:6] != b"\x01CD001":
        raise ValueError("not an ISO 9660 image")
    start, size_bytes = _extent(descriptor[156:190])
    directory = image[start : start + size_bytes]
    files = {}
    for record in _records(directory):
        if record[25] & _DIRECTORY_FLAG:
            continue
        name = record[33 : 33 + record[32]].decode("ascii", "replace")
        start, size_bytes = _extent(record)
        content = image[start : start + size_bytes]
        files[name.partition(";")[0].rstrip(".")] = content.decode("utf-8", "replace")
    return files


def _extent(record: bytes) -> tuple[int, int]:
    """Start and length in bytes of what a directory record points to."""
    sector: int
    size_bytes: int
    sector, _, size_bytes = struct.unpack_from("<III", record, 2)
    return sector * _SECTOR_BYTES, size_bytes


def _records(directory: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(directory):
        length = directory[position]
        if length == 0:  # records do not cross sectors: the rest of this one is padding
            position = (position // _SECTOR_BYTES + 1) * _SECTOR_BYTES
            continue
        yield directory[position : position + length]
        position += length
