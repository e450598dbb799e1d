"""What each image is built from: its folder's files, and what its Dockerfile asks for besides.

A Dockerfile says itself what it needs: `ARG FRONTEND` is the image `frontend`, `COPY pycore ...`
the Python services' common package. So a further service needs no entry here.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from shop.catalogue import SHAPES, SURROUNDINGS, services
from toolchain.sources import source_files

_APP, _IMAGES, _PLATFORM = "app", "shop/images", "k8s/images"
#: Images of the platform that a stack runs beside the shop's.
PLATFORM = ("registry",)
#: A folder of `app/` that Python services have in their context under its own name.
_COMMON = "pycore"

#: Files that the check stage needs and no image gets: by them no image is another one.
_TESTS = re.compile(
    r"(^|/)(tests?|bench)/|(^|/)test_[^/]*\.py$|_test\.go$|\.(test|spec)\.[cm]?[jt]sx?$"
)


def image_names() -> tuple[str, ...]:
    """Return all images that stacks run, in the order to build them: what compiles comes first."""
    found = dict.fromkeys(service.image for shape in SHAPES for service in services(shape))
    return (*sorted(found, key=lambda name: name in SURROUNDINGS), *PLATFORM)


def app_services(shape: str) -> tuple[str, ...]:
    """Return the names of a shape's own services: those with a folder in `app/`."""
    return tuple(service.name for service in services(shape) if service.name not in SURROUNDINGS)


def folder(root: Path, name: str) -> str:
    """Return the folder of an image or service, by its name in the clone."""
    if name in PLATFORM:
        return f"{_PLATFORM}/{name}"
    own = f"{_APP}/{name}"
    return own if name not in SURROUNDINGS or (root / own).is_dir() else f"{_IMAGES}/{name}"


def dockerfile(root: Path, name: str) -> str:
    """Return an image's Dockerfile; empty if there is none."""
    path = root / folder(root, name) / "Dockerfile"
    return path.read_text() if path.is_file() else ""


def built_on(root: Path, name: str) -> tuple[str, ...]:
    """Return the other images that an image's Dockerfile takes something from."""
    named = set(re.findall(r"^ARG\s+(\w+)", dockerfile(root, name), re.MULTILINE))
    return tuple(other for other in image_names() if other != name and argument(other) in named)


def argument(name: str) -> str:
    """Return the build argument by which a Dockerfile refers to the image of that name."""
    return name.upper().replace("-", "_")


def has_stage(root: Path, name: str, stage: str) -> bool:
    """Tell whether an image's Dockerfile has a stage of that name."""
    wanted = rf"^FROM\s.*\sAS\s+{re.escape(stage)}\s*$"
    return bool(re.search(wanted, dockerfile(root, name), re.MULTILINE | re.IGNORECASE))


def context_files(root: Path, name: str) -> dict[str, Path]:
    """Return the files of an image's build context by their name in it."""
    own = folder(root, name)
    found = _below(root, own)
    if re.search(rf"^COPY\s+(--\S+\s+)*{_COMMON}\b", dockerfile(root, name), re.MULTILINE):
        common = _below(root, f"{_APP}/{_COMMON}")
        found.update({f"{_COMMON}/{below}": path for below, path in common.items()})
    return found


def shipped_files(root: Path, name: str) -> dict[str, Path]:
    """Return the files of the context that can make a difference to the image."""
    return {
        below: path for below, path in context_files(root, name).items() if not _TESTS.search(below)
    }


def _below(root: Path, directory: str) -> dict[str, Path]:
    start = len(directory) + 1
    return {name[start:]: path for name, path in source_files(root, directory).items()}


@contextlib.contextmanager
def build_directory() -> Iterator[Path]:
    """Yield an empty directory for a build context, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="triptych-build-") as name:
        yield Path(name)


def assemble(
    into: Path, copied: Mapping[str, Path], texts: Mapping[str, str] | None = None
) -> None:
    """Fill the empty directory `into` with a build context: copies of files, and files of text.

    It depends on names, contents and executable bits alone, so that the same sources make the same
    context whenever and by whomever it is made.
    """
    for name, path in copied.items():
        target = into / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        target.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
    for name, text in (texts or {}).items():
        target = into / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(0o644)
    for path in [into, *into.rglob("*")]:
        if path.is_dir():
            path.chmod(0o755)
        os.utime(path, (0, 0))
