"""What `make build` has made: images and guest disks, read from `.triptych/artefacts.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pulumi

SCHEMA: Final = 2
PROJECT_ROOT: Final = Path(__file__).resolve().parent.parent
FILE: Final = PROJECT_ROOT / ".triptych" / "artefacts.json"


class ArtefactsError(pulumi.RunError):
    """The artefacts are missing or not usable; the text says what to do."""


@dataclass(frozen=True, kw_only=True)
class Image:
    """A container image in a registry."""

    ref: str
    unpacked_bytes: int

    def from_registry(self, registry: str | None) -> Image:
        """Return the same image as another registry (``host[:port]``) has it."""
        if registry is None:
            return self
        repository = self.ref.partition("/")[2]
        return Image(ref=f"{registry}/{repository}", unpacked_bytes=self.unpacked_bytes)

    @property
    def tag(self) -> str:
        """Return the content key that the image is tagged with."""
        return self.ref.rpartition(":")[2]


@dataclass(frozen=True, kw_only=True)
class Guest:
    """A shape's disk with its kernel and initrd: as files, and as volumes in libvirt's cache."""

    key: str
    disk: Path
    kernel: Path
    initrd: Path
    pool: str
    volume: str
    kernel_volume: str
    initrd_volume: str
    cmdline: str
    virtual_bytes: int
    unpacked_bytes: int


@dataclass(frozen=True, kw_only=True)
class Artefacts:
    """Everything that was built."""

    sources: Mapping[str, str]
    images: Mapping[str, Image]
    guests: Mapping[str, Guest]
    node: Image | None = None

    @classmethod
    def load(cls, file: Path = FILE) -> Artefacts:
        """Read the artefacts' index.

        Raises:
            ArtefactsError: if it is not there or not of the kind that this version writes.
        """
        try:
            data: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            if data["schema"] != SCHEMA:
                raise ValueError(f"schema {data['schema']}")
            return cls(
                sources=dict(data.get("sources", {})),
                images={name: _image(entry) for name, entry in data.get("images", {}).items()},
                guests={shape: _guest(entry) for shape, entry in data.get("guests", {}).items()},
                node=_image(node) if (node := data.get("kubernetes", {}).get("node")) else None,
            )
        except FileNotFoundError:
            raise ArtefactsError(
                "nothing is built yet: .triptych/artefacts.json is missing; run `make build` first"
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ArtefactsError(
                f".triptych/artefacts.json is not usable ({type(error).__name__}: {error});"
                " run `make build` again"
            ) from None

    def image(self, name: str) -> Image:
        """Return the image of that name.

        Raises:
            ArtefactsError: if it has not been built.
        """
        try:
            return self.images[name]
        except KeyError:
            raise ArtefactsError(
                f'the image "{name}" is not built yet; run `make build` first'
            ) from None

    def require_node(self) -> Image:
        """Return the image of a kind cluster's node.

        Raises:
            ArtefactsError: if it has not been built.
        """
        if self.node is None:
            raise ArtefactsError(
                "the image of the Kubernetes node is not built yet; run `make build` first"
            )
        return self.node

    def require_guest(self, shape: str) -> Guest:
        """Return the guest's disk that carries the shape.

        Raises:
            ArtefactsError: if it has not been built.
        """
        try:
            return self.guests[shape]
        except KeyError:
            raise ArtefactsError(
                f'the guest disk of the shape "{shape}" is not built yet; run `make build` first'
            ) from None


def _image(entry: Mapping[str, Any]) -> Image:
    return Image(ref=entry["ref"], unpacked_bytes=int(entry.get("unpacked_bytes", 0)))


def _guest(entry: Mapping[str, Any]) -> Guest:
    return Guest(
        key=entry["key"],
        disk=Path(entry["disk"]),
        kernel=Path(entry["kernel"]),
        initrd=Path(entry["initrd"]),
        pool=entry["pool"],
        volume=entry["volume"],
        kernel_volume=entry["kernel_volume"],
        initrd_volume=entry["initrd_volume"],
        cmdline=entry["cmdline"],
        virtual_bytes=int(entry["virtual_bytes"]),
        unpacked_bytes=int(entry.get("unpacked_bytes", 0)),
    )
