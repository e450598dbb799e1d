from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from tests.plugins.pulumi_cli import Project
from tests.support import ROOT
from tests.support.provider_process import ProviderProcess, providers

BASE = "base:latest"  # the name in the recorded Dockerfile
_TOOLS = ("sh", "sleep", "true", "false", "cat", "stat", "id")


@pytest.fixture(scope="session")
def daemon() -> docker.APIClient:
    return docker.APIClient(version="auto")


@pytest.fixture(scope="session")
def base_image(daemon: docker.APIClient) -> Iterator[str]:
    """Make a base image of a few of the host's programs: no registry needed."""
    before = [image["Id"] for image in daemon.images(BASE)]
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for directory in ("bin", "data", "dev", "etc", "proc", "run", "sys", "tmp"):
            member = tarfile.TarInfo(directory)
            member.type = tarfile.DIRTYPE
            member.mode = 0o1777 if directory == "tmp" else 0o755
            archive.addfile(member)
        libraries: set[str] = set()
        for tool in _TOOLS:
            path = shutil.which(tool)
            assert path is not None
            archive.add(os.path.realpath(path), f"bin/{tool}")
            listing = subprocess.run(["ldd", path], capture_output=True, text=True, check=True)
            libraries |= set(re.findall(r"(/\S+) \(0x", listing.stdout))
        for library in sorted(libraries):
            archive.add(os.path.realpath(library), library.lstrip("/"))
    repository, _, tag = BASE.partition(":")
    answer = daemon.import_image_from_data(stream.getvalue(), repository=repository, tag=tag)
    assert "sha256:" in str(answer)
    made = daemon.images(BASE)[0]["Id"]
    yield BASE
    daemon.remove_image(BASE, force=True)
    if before and before[0] != made:
        daemon.tag(before[0], repository, tag)


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[Callable[..., ProviderProcess]]:
    """Start provider plugins as the engine does."""
    with providers(tmp_path) as start:
        yield start


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Project]:
    """Make a Pulumi project with its own home and state."""

    def make(program: str, name: str = "plugtest") -> Project:
        return Project(ROOT, tmp_path, name, program)

    return make


@pytest.fixture
def clean(daemon: docker.APIClient) -> Iterator[Callable[[str], None]]:
    """Remove what carries a name prefix, before and after a test."""
    prefixes: list[str] = []

    def remove(prefix: str) -> None:
        for container in daemon.containers(all=True):
            if any(name.startswith(f"/{prefix}") for name in container["Names"]):
                daemon.remove_container(container["Id"], force=True, v=True)
        for network in daemon.networks():
            if network["Name"].startswith(prefix):
                daemon.remove_network(network["Id"])
        for volume in daemon.volumes()["Volumes"] or ():
            if volume["Name"].startswith(prefix):
                daemon.remove_volume(volume["Name"])
        for image in daemon.images():
            for tag in image["RepoTags"] or ():
                if tag.startswith(prefix):
                    daemon.remove_image(tag, force=True)

    def register(prefix: str) -> None:
        remove(prefix)
        prefixes.append(prefix)

    yield register
    for prefix in prefixes:
        remove(prefix)
