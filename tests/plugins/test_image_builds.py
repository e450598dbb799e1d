"""Images with the real buildah: the same inputs give the same image, and a killed build is no harm.

Each storage is a fresh one, so nothing comes from a cache. The base image is the one that
`make build` has made, taken from the local registry.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.steps import Silent, nothing
from toolchain.artefacts import images, recipes, registry
from toolchain.artefacts.keys import base_key, image_key
from toolchain.buildah import Buildah
from toolchain.clean import mounts_below
from toolchain.host import become_root
from toolchain.paths import Paths
from toolchain.steps import Step, StepContext, StepError
from toolchain.tools import tool_path

ROOT = Path(__file__).parents[2]
DOCKERFILE = """\
ARG BASE
FROM ${BASE} AS build
COPY program /usr/local/bin/
RUN --mount=type=secret,id=ca useradd --uid 10099 someone \\
    && cksum </run/secrets/ca >/secret-was-there \\
    && mkdir /opt/some && touch /opt/some/file
FROM ${BASE}
COPY --from=build /etc/passwd /etc/shadow /secret-was-there /opt/
COPY --from=build /opt/some /opt/some
RUN useradd --uid 10098 another
USER 10098:10098
"""


@pytest.fixture
def context(tmp_path: Path) -> Iterator[StepContext]:
    path = tmp_path / "log"
    with path.open("wb") as log:
        yield StepContext(Step("one", nothing), path, log, Silent())


@pytest.fixture
def base() -> str:
    found = images.read_base(Paths.find().artefacts, base_key(ROOT))
    if found is None:
        pytest.fail("there is no base image: run `make build` first")
    return found.ref


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Callable[[str], Buildah]]:
    """Return a function that makes a fresh storage of the name given."""
    made: list[Buildah] = []

    def make(name: str) -> Buildah:
        home = tmp_path / name
        (home / "tmp").mkdir(parents=True)
        made.append(Buildah(home, become_root()))
        return made[-1]

    yield make
    for one in made:
        for point in mounts_below(one.home, Path("/proc/self/mounts").read_text()):
            subprocess.run([*one.as_root, "umount", "--lazy", point], check=False)
        subprocess.run([*one.as_root, "rm", "-rf", "--one-file-system", one.home], check=True)


def asked(buildah: Buildah, *words: str) -> str:
    """Return what a command of buildah says."""
    argv = buildah.locked(*buildah.command, *words)
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


def write_context(directory: Path, dockerfile: str = DOCKERFILE) -> None:
    directory.mkdir()
    (directory / "Dockerfile").write_text(dockerfile)
    (directory / "program").write_text("#!/bin/sh\n")


async def test_the_same_inputs_give_the_same_image(
    storage: Callable[[str], Buildah],
    context: StepContext,
    base: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bundle = tmp_path / "ca.crt"
    bundle.write_text("a secret that must not stay")
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    found = []
    for name in ("first", "second"):
        buildah = storage(name)
        write_context(tmp_path / f"context-{name}")
        os.utime(tmp_path / f"context-{name}" / "program", (1, len(name)))
        await buildah.build(
            context, tmp_path / f"context-{name}", "localhost/x:1", arguments={"BASE": base}
        )
        found.append(asked(buildah, "images", "--quiet", "--no-trunc", "localhost/x:1"))
    assert found[0].startswith("sha256:")
    assert found[0] == found[1]
    config = asked(buildah, "inspect", "--format", "{{.OCIv1.Config.Env}}", "localhost/x:1")
    assert "SOURCE_DATE_EPOCH" not in config
    needle = ["grep", "-rlF", "that must not stay", str(buildah.home / "store")]
    left = subprocess.run([*buildah.as_root, *needle], capture_output=True, text=True, check=False)
    assert left.stdout == ""


async def test_a_recorded_image_is_what_its_sources_give(
    storage: Callable[[str], Buildah], context: StepContext, base: str, tmp_path: Path
) -> None:
    """The smallest one of the shop's, against the record that `make build` wrote.

    Files and settings are compared, not the image's id: that goes by the builder's notes on its
    steps too, and in them a base image of the same content may have had another tag.
    """
    paths = Paths.find()
    name = "stripe-mock"
    key = image_key(ROOT, name)
    recorded = images.read_image(paths.artefacts, name, key)
    assert recorded is not None, "it is not built: run `make build` first"
    buildah = storage("fresh")
    into = tmp_path / "context"
    into.mkdir()
    files = {**recipes.context_files(ROOT, name), name: tool_path(paths, name)}
    recipes.assemble(into, files)
    ref = registry.reference(name, key)
    await buildah.build(context, into, ref, arguments={"BASE": base})
    pushed = f"{ref.rpartition(':')[0]}@{recorded.digest}"
    asked(buildah, "pull", "--quiet", "--tls-verify=false", pushed)
    content = ("inspect", "--format", "{{.OCIv1.RootFS}} {{.OCIv1.Config}}")
    assert "sha256:" in asked(buildah, *content, ref)
    assert asked(buildah, *content, ref) == asked(buildah, *content, pushed)


async def test_a_killed_build_is_no_harm_to_the_next(
    storage: Callable[[str], Buildah], context: StepContext, base: str, tmp_path: Path
) -> None:
    buildah = storage("one")
    slow = "ARG BASE\nFROM ${BASE}\nRUN mkdir /half && sleep 60\nRUN true\n"
    write_context(tmp_path / "slow", slow)
    words = ("build", "--isolation", "chroot", "--layers", "--tls-verify=false", "--pull=false")
    argv = buildah.locked(
        *(*buildah.command, *words, "--build-arg", f"BASE={base}", "--tag", "localhost/x:1"),
        tmp_path / "slow",
    )
    environment = {**os.environ, **buildah.environment}
    build = subprocess.Popen(argv, env=environment, start_new_session=True)
    try:
        give_up_s = time.monotonic() + 60
        while not list((buildah.home / "store").glob("overlay/*/diff/half")):
            assert time.monotonic() < give_up_s, "the build does not get to its second step"
            time.sleep(0.05)
    finally:
        os.killpg(build.pid, signal.SIGKILL)
        build.wait()
    while subprocess.run(["flock", "-xn", buildah.home / "lock", "true"], check=False).returncode:
        time.sleep(0.05)  # Its children may take a moment longer to be gone.
    assert asked(buildah, "containers", "--quiet") != ""
    await buildah.tidy(context)
    assert asked(buildah, "containers", "--quiet") == ""
    left = mounts_below(buildah.home, Path("/proc/self/mounts").read_text())
    assert [point for point in left if point.endswith("/merged")] == []
    with pytest.raises(StepError):
        await buildah.run(context, "push", "localhost/x:1", f"dir:{tmp_path / 'out'}")
    write_context(tmp_path / "quick", slow.replace("sleep 60", "sleep 0"))
    await buildah.build(context, tmp_path / "quick", "localhost/x:1", arguments={"BASE": base})
    assert asked(buildah, "images", "--quiet", "localhost/x:1") != ""
