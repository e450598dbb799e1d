"""Where things lie."""

from __future__ import annotations

from pathlib import Path

from tests.support import ROOT
from toolchain.paths import Paths


def test_paths_follow_the_environment(tmp_path: Path) -> None:
    environ = {"HOME": "/home/u"}
    assert Paths.find(tmp_path, environ).cache == Path("/home/u/.cache/triptych")
    environ["XDG_CACHE_HOME"] = "/x"
    assert Paths.find(tmp_path, environ).cache == Path("/x/triptych")
    environ["TRIPTYCH_CACHE"] = "/mine"
    assert Paths.find(tmp_path, environ).cache == Path("/mine")
    assert Paths.find().root == ROOT
