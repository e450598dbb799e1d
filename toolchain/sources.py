"""The clone's own files: what git knows and what is new, without what builds and tools leave."""

from __future__ import annotations

import os
from pathlib import Path

from toolchain.host import capture

#: Left out where git can't be asked: what .gitignore files name in this project.
_NOT_SOURCES = frozenset(
    {
        *(".git", ".venv", ".triptych", "results", "__pycache__", "node_modules"),
        *(".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", "dist", "target"),
    }
)


def source_files(root: Path, *folders: str) -> dict[str, Path]:
    """Return the clone's files by their name in it, in order; only those below folders if given.

    As git lists them, new ones too; where there is no git or no repository, by walking.
    """
    listed = capture(
        *("git", "-C", root, "ls-files", "--cached", "--others", "--exclude-standard", "-z"),
        *("--", *folders),
    )
    names = [name for name in listed.split("\0") if name] if listed else _walk(root, folders)
    return {name: root / name for name in sorted(set(names)) if (root / name).is_file()}


def _walk(root: Path, folders: tuple[str, ...]) -> list[str]:
    found = []
    for start in folders or (".",):
        for directory, below, names in os.walk(root / start):
            below[:] = [name for name in below if name not in _NOT_SOURCES]
            found += [Path(directory, name) for name in names if not name.endswith(".pyc")]
    return [path.relative_to(root).as_posix() for path in found]
