"""Records of images against the registry."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from tests.support.image_registry import DIGEST
from toolchain.artefacts import registry
from toolchain.artefacts.images import BaseImage, Image, read_base, read_image


@pytest.mark.usefixtures("a_registry")
def test_an_image_that_left_the_registry_is_built_again(tmp_path: Path) -> None:
    image = Image("ref", DIGEST, "sha256:config", 1, 2, 1, 0.5)
    record = tmp_path / "gateway-4567.json"
    assert read_image(tmp_path, "gateway", "4567") is None
    # Whoever has the name now: it is that very image that has to be there.
    record.write_text(json.dumps(asdict(image)))
    assert read_image(tmp_path, "gateway", "4567") == image
    record.write_text(json.dumps(asdict(replace(image, digest="sha256:gone"))))
    assert read_image(tmp_path, "gateway", "4567") is None
    record.write_text('{"ref": ')
    assert read_image(tmp_path, "gateway", "4567") is None


def test_the_base_is_what_was_pushed_as_the_base(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        registry, "manifest", lambda name, which: (name, which) == ("base", "d") or None
    )
    base = BaseImage("ref", "d", "mmdebstrap", ("sha256:base",), 5)
    (tmp_path / "base-0123.json").write_text(json.dumps(asdict(base)))
    assert read_base(tmp_path, "0123") == base
    assert read_base(tmp_path, "4567") is None
