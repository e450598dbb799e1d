"""Images' build contexts."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest

from shop.catalogue import SHAPES
from tests.support import ROOT
from toolchain.artefacts import build, recipes
from toolchain.artefacts.recipes import assemble, context_files, image_names

OWN = sorted({name for shape in SHAPES for name in recipes.app_services(shape)})


def test_every_image_has_a_folder_with_a_dockerfile() -> None:
    assert [
        name for name in image_names() if "ARG BASE" not in recipes.dockerfile(ROOT, name)
    ] == []


@pytest.mark.parametrize("name", OWN)
def test_of_a_check_stage_the_last_step_alone_is_always_run(name: str) -> None:
    text = recipes.dockerfile(ROOT, name).replace("\\\n", " ")
    stage = re.split(r"^FROM .* AS check$", text, flags=re.MULTILINE)[1].split("\nFROM ")[0]
    instructions = [line for line in stage.splitlines() if line and not line.startswith("#")]
    assert instructions[-2] == "ARG CHECK_RUN"
    assert re.match(r"RUN .*\bmake lint test\b", instructions[-1])


@pytest.mark.parametrize("name", image_names())
def test_a_build_context_holds_what_its_dockerfile_copies(tmp_path: Path, name: str) -> None:
    binary = tmp_path / "binary"
    binary.write_text("")
    into = tmp_path / "context"
    into.mkdir()
    binaries = {name: binary} if name in build.BINARIES else {}
    assemble(into, {**context_files(ROOT, name), **binaries})
    instructions = recipes.dockerfile(ROOT, name).replace("\\\n", " ").splitlines()
    copied = [
        word
        for line in instructions
        if line.startswith("COPY ") and "--from" not in line
        for word in line.split()[1:-1]
        if not word.startswith("--")
    ]
    assert [
        word for word in copied if not (into / word).exists() and not list(into.glob(word))
    ] == []


def test_a_further_service_says_in_its_dockerfile_what_it_needs(tmp_path: Path) -> None:
    sixth = tmp_path / "app/sixth"
    (tmp_path / "app/pycore/src").mkdir(parents=True)
    (tmp_path / "app/pycore/src/common.py").write_text("")
    sixth.mkdir()
    text = "ARG BASE\nARG FRONTEND\nARG CHECK_RUN\nFROM ${BASE} AS build\n"
    (sixth / "Dockerfile").write_text(text)
    assert recipes.built_on(tmp_path, "sixth") == ("frontend",)
    assert list(context_files(tmp_path, "sixth")) == ["Dockerfile"]
    assert not recipes.has_stage(tmp_path, "sixth", "check")
    text += "COPY --chown=0:0 pycore /src/pycore\nFROM build as check\nRUN make test\n"
    (sixth / "Dockerfile").write_text(text)
    assert list(context_files(tmp_path, "sixth")) == ["Dockerfile", "pycore/src/common.py"]
    assert recipes.has_stage(tmp_path, "sixth", "check")


def test_the_same_files_make_the_same_context(tmp_path: Path) -> None:
    source = tmp_path / "script"
    source.write_text("#!/bin/sh\n")
    found = []
    for number, mask in enumerate((0o022, 0o077)):
        source.chmod(0o755 if mask == 0o022 else 0o700)
        into = tmp_path / str(number)
        into.mkdir()
        before = os.umask(mask)
        try:
            assemble(into, {"usr/bin/script": source}, {"etc/name": "shop\n"})
        finally:
            os.umask(before)
        found.append(
            {
                str(path.relative_to(into)): (
                    stat.S_IMODE(path.stat().st_mode),
                    path.stat().st_mtime,
                )
                for path in into.rglob("*")
            }
        )
    assert found[0] == found[1]
    assert found[0]["usr/bin/script"] == (0o755, 0.0)
    assert found[0]["etc/name"] == (0o644, 0.0)
    assert found[0]["usr"] == (0o755, 0.0)
