"""What a Dockerfile is built from."""

from __future__ import annotations

from pathlib import Path

from plugins.docker.build_context import base_images


def test_base_images_are_found(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        "ARG BASE=a/b:1\nARG TAG\nFROM --platform=linux/amd64 ${BASE} AS one\n"
        "ARG BASE=ignored\nFROM one AS two\nFROM scratch\nfrom c:$TAG\nFROM ${OTHER:-d:2}\n"
    )
    found = base_images(str(tmp_path / "Dockerfile"), {"TAG": "7"})
    assert found == ["a/b:1", "c:7", "d:2"]
