"""The build context: which files it has, their digest and the archive for the daemon."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO
from uuid import uuid4

from docker.utils.build import PatternMatcher

_DOCKERFILE = "Dockerfile"


def context_digest(context: str, dockerfile: str) -> str:
    """Return the digest that upstream writes to `build.contextDigest`.

    It covers the Dockerfile and name, mode and content of every file that is not ignored.
    """
    digest = hashlib.sha256()
    digest.update(_entry(_DOCKERFILE, "----------", Path(dockerfile).read_bytes()))
    for name in _files(context, dockerfile):
        path = Path(context, name)
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            content = os.path.normpath(_resolved(path)).encode()
        elif stat.S_ISREG(mode):
            content = path.read_bytes()
        else:
            content = b""
        digest.update(_entry(os.path.normpath(name), _go_mode(mode), content))
    return digest.hexdigest()


def archive(context: str, dockerfile: str) -> tuple[IO[bytes], str]:
    """Return the context as a tar stream, and the Dockerfile's name in it."""
    relative = os.path.relpath(dockerfile, context)
    outside = relative.startswith(f"..{os.sep}")
    inside_name = f".dockerfile.{uuid4().hex[:20]}" if outside else relative
    stream = tempfile.TemporaryFile(prefix="pulumi-docker-context-")  # noqa: SIM115
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as tar:
        names = [name for name in _files(context, dockerfile) if name != relative]
        # First, as BuildKit knows a tar stream by its first block: a short plain header.
        _add(tar, Path(dockerfile), inside_name)
        for name in names:
            _add(tar, Path(context, name), name)
    stream.seek(0)
    return stream, inside_name


def base_images(dockerfile: str, args: Mapping[str, str]) -> list[str]:
    """Return the images that a Dockerfile's FROM lines name, stages of its own left out."""
    known: dict[str, str] = {}
    stages = {"scratch"}
    images: list[str] = []
    for line in Path(dockerfile).read_text().splitlines():
        words = [word for word in line.split() if not word.startswith("--")]
        instruction = words[0].upper() if len(words) > 1 else ""
        if instruction == "ARG" and not images:
            name, _, default = words[1].partition("=")
            known[name] = args.get(name, default.strip("\"'"))
        elif instruction == "FROM":
            image = _substitute(words[1], known)
            if image.lower() not in stages and image not in images:
                images.append(image)
            if len(words) > 3:
                stages.add(words[3].lower())
    return images


def _substitute(text: str, values: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        name, default = match.group(1) or match.group(3), match.group(2) or ""
        return values.get(name) or default

    return re.sub(r"\$(?:\{(\w+)(?::-([^}]*))?\}|(\w+))", value, text)


def _files(context: str, dockerfile: str) -> Iterator[str]:
    """Yield the paths of what is in the context, directories left out, in walking order."""
    matcher = PatternMatcher(_ignored(context, dockerfile))
    found = (name for name in matcher.walk(context) if not _is_directory(Path(context, name)))
    yield from sorted(found, key=_walk_key)


def _ignored(context: str, dockerfile: str) -> list[str]:
    for path in (Path(f"{dockerfile}.dockerignore"), Path(context, ".dockerignore")):
        if path.is_file():
            lines = (line.strip() for line in path.read_text().splitlines())
            return [line for line in lines if line and not line.startswith("#")]
    return []


def _walk_key(name: str) -> tuple[bytes, ...]:
    # Go walks a directory's names in byte order and goes into each before the next.
    return tuple(part.encode() for part in Path(name).parts)


def _is_directory(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _resolved(path: Path) -> str:
    """Return where a link leads, relative as Go's EvalSymlinks gives it for a relative path."""
    resolved = os.path.realpath(path)
    return resolved if path.is_absolute() else os.path.relpath(resolved)


def _entry(name: str, mode: str, content: bytes) -> bytes:
    return name.encode() + mode.encode() + hashlib.sha256(content).digest() + b"\0"


def _go_mode(mode: int) -> str:
    """Return a mode as Go prints it: types and special bits first, then nine bits."""
    letters = [
        ("L", stat.S_ISLNK(mode)),
        ("D", stat.S_ISBLK(mode) or stat.S_ISCHR(mode)),
        ("p", stat.S_ISFIFO(mode)),
        ("S", stat.S_ISSOCK(mode)),
        ("u", bool(mode & stat.S_ISUID)),
        ("g", bool(mode & stat.S_ISGID)),
        ("c", stat.S_ISCHR(mode)),
        ("t", bool(mode & stat.S_ISVTX)),
    ]
    return ("".join(letter for letter, on in letters if on) or "-") + stat.filemode(
        stat.S_IMODE(mode) & 0o777
    )[1:]


def _add(tar: tarfile.TarFile, path: Path, name: str) -> None:
    member = tar.gettarinfo(path, arcname=name)
    if member is None:
        return  # a socket
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = int(member.mtime)
    if member.isreg():
        with path.open("rb") as source:
            tar.addfile(member, source)
    else:
        tar.addfile(member)
