"""A copy of the sources, and a registry that has an image."""

from __future__ import annotations

import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.image_registry import Registry
from toolchain.artefacts import registry
from toolchain.sources import source_files


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a copy of the sources that artefacts are made of, outside of any repository."""
    for name, path in source_files(ROOT, "app", "k8s", "shop", "toolchain").items():
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return tmp_path


@pytest.fixture
def a_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(registry, "REGISTRY_PORT", server.server_port)
    yield
    server.shutdown()
    server.server_close()
