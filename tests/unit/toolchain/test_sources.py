"""Which files are sources."""

from __future__ import annotations

import subprocess
from pathlib import Path

from toolchain.sources import source_files


def test_in_a_repository_its_ignored_files_are_no_sources(tmp_path: Path) -> None:
    for name in ("app/a.py", "app/secret.txt", "app/new.py", "other/b.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / ".gitignore").write_text("secret.txt\n")
    for words in (["init", "--quiet"], ["add", "app/a.py", "other/b.py"]):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True)
    (tmp_path / "other/b.py").unlink()
    assert list(source_files(tmp_path)) == [".gitignore", "app/a.py", "app/new.py"]
    assert list(source_files(tmp_path, "app")) == ["app/a.py", "app/new.py"]
