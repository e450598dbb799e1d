"""How buildah is called: its own storage, the lock, the secret, root."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.steps import Silent, nothing
from toolchain import buildah
from toolchain.buildah import LIMIT_BYTES, Buildah, ca_bundle
from toolchain.steps import Step, StepContext


@pytest.fixture
def ours(tmp_path: Path) -> Buildah:
    (tmp_path / "buildah").mkdir()
    return Buildah(tmp_path / "buildah", ())


@pytest.fixture
def called(ours: Buildah, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Put a script that writes its arguments down in buildah's place; they come in this list."""
    found: list[list[str]] = []
    script, log = tmp_path / "script", tmp_path / "calls"
    script.write_text(f'#!/bin/sh\nfor word in "$@"; do echo "$word"; done >>"{log}"\n')
    script.chmod(0o755)
    command = (str(script), "--root", str(ours.home / "store"))
    monkeypatch.setattr(Buildah, "command", property(lambda self: command))
    real = StepContext.run

    async def run(self: StepContext, *argv: str | Path, **options: object) -> int:
        code = await real(self, *argv, **options)  # type: ignore[arg-type]
        if log.exists():
            found.append(log.read_text().splitlines())
            log.unlink()
        return code

    monkeypatch.setattr(StepContext, "run", run)
    return found


@pytest.fixture
def context(tmp_path: Path) -> StepContext:
    path = tmp_path / "log"
    return StepContext(Step("one", nothing), path, path.open("wb"), Silent())


def test_the_storage_is_our_own(tmp_path: Path) -> None:
    command = Buildah(tmp_path, ()).command
    assert command == (
        *("buildah", "--root", str(tmp_path / "store"), "--runroot", str(tmp_path / "run")),
    )


async def test_a_build_is_reproducible_and_trusts_whom_the_host_trusts(
    ours: Buildah,
    called: list[list[str]],
    context: StepContext,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bundle = tmp_path / "ca.crt"
    bundle.touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    await ours.build(context, tmp_path, "x/y:1", arguments={"BASE": "b", "A": "1 2"}, target="t")
    words = " ".join(called[0])
    for wanted in (
        f"--secret id=ca,src={bundle}",
        "--timestamp 0",
        "--unsetenv SOURCE_DATE_EPOCH",
        "--isolation chroot",
        "--layers",
        "--build-arg BASE=b --build-arg A=1 2",
        "--target t",
        "--tag x/y:1",
    ):
        assert wanted in words
    assert words.endswith(f" {tmp_path}")
    bundle.unlink()
    await ours.build(context, tmp_path, "x/y:1", arguments={}, epoch=False, final=False)
    assert not {"--secret", "--timestamp", "--target", "--unsetenv"} & set(called[1])


def test_the_bundle_is_the_one_named_or_debians(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    debians = tmp_path / "ca-certificates.crt"
    monkeypatch.setattr(buildah, "_CA_BUNDLE", debians)
    assert ca_bundle({}) is None
    debians.touch()
    assert ca_bundle({}) == debians
    assert ca_bundle({"SSL_CERT_FILE": str(tmp_path / "none")}) is None


def test_as_another_user_the_proxies_come_along(tmp_path: Path) -> None:
    argv = Buildah(tmp_path, ("sudo", "-n")).locked("buildah", "images")
    assert argv[:2] == ("sudo", "-n")
    kept = argv[2].removeprefix("--preserve-env=").split(",")
    assert {"http_proxy", "HTTPS_PROXY", "no_proxy", "TMPDIR"} <= set(kept)
    assert argv[3:] == (
        "flock",
        "--no-fork",
        "--shared",
        str(tmp_path / "lock"),
        "buildah",
        "images",
    )


def is_free(lock: Path) -> bool:
    """Tell whether the exclusive lock can be had."""
    done = subprocess.run(["flock", "--exclusive", "--nonblock", lock, "true"], check=False)
    return done.returncode == 0


async def test_leftovers_are_removed_only_when_nobody_builds(
    ours: Buildah, called: list[list[str]], context: StepContext
) -> None:
    await ours.tidy(context)
    (ours.home / "tmp" / "left").touch()
    other = subprocess.Popen(ours.locked("sleep", "60"), start_new_session=True)
    try:
        while is_free(ours.home / "lock"):
            pass
        await ours.tidy(context)
        assert (ours.home / "tmp" / "left").exists()
    finally:
        os.killpg(other.pid, signal.SIGKILL)
        other.wait()
    while not is_free(ours.home / "lock"):  # Its child may take a moment longer to be gone.
        pass
    await ours.tidy(context)
    assert not (ours.home / "tmp" / "left").exists()
    assert [call[-2:] for call in called] == [["rm", "--all"], ["rm", "--all"]]


async def test_layers_are_given_up_when_there_are_too_many(
    ours: Buildah, called: list[list[str]], context: StepContext
) -> None:
    index = ours.home / "store" / "overlay-layers" / "layers.json"
    index.parent.mkdir(parents=True)
    index.write_text(json.dumps([{"diff-size": LIMIT_BYTES}, {"id": "no size"}]))
    await ours.tidy(context)
    index.write_text(json.dumps([{"diff-size": LIMIT_BYTES}, {"diff-size": 1}]))
    await ours.tidy(context)
    index.write_text("{")
    assert ours.stored_bytes() == 0
    assert [call[2:] for call in called] == [["rm", "--all"], ["rmi", "--all", "--force"]]
