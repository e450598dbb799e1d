"""Which plugins are used: upstream's, or this clone's."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from toolchain import graph, plugins, tools
from toolchain.errors import ToolchainError
from toolchain.paths import Paths
from toolchain.plugins import (
    OURS,
    bridge_script,
    find_upstream,
    install_helpers,
    install_provider,
    is_ours,
    wrapper,
)
from toolchain.tools import PULUMI_HELPERS

VERSION = "5.2.0"


def script(path: Path, says: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\necho {says} "$@"\n')
    path.chmod(0o755)
    return path


def says(path: Path, *arguments: str) -> str:
    return subprocess.check_output([path, *arguments], text=True).strip()


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    # A quote and a space: the clone may be anywhere.
    root = tmp_path / "it's a clone"
    for name in (*PULUMI_HELPERS, "pulumi-resource-docker", "pulumi-resource-libvirt"):
        script(root / "plugins" / "bin" / name, "ours")
    return Paths(root=root, cache=tmp_path / "cache", run=tmp_path / "run")


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"}


def installed(paths: Paths, name: str = "docker", version: str = VERSION) -> Path:
    return paths.pulumi_home / "plugins" / f"resource-{name}-v{version}" / f"pulumi-resource-{name}"


def test_without_upstream_ours_is_installed(paths: Paths, environ: dict[str, str]) -> None:
    found = install_provider(paths, "docker", VERSION, environ)
    assert found.source == OURS
    assert says(installed(paths), "127.0.0.1:1") == "ours 127.0.0.1:1"
    assert is_ours(installed(paths))


def test_a_plugin_in_the_users_home_wins(
    paths: Paths, environ: dict[str, str], tmp_path: Path
) -> None:
    theirs = script(
        tmp_path
        / "home/.pulumi/plugins"
        / f"resource-docker-v{VERSION}"
        / "pulumi-resource-docker",
        "theirs",
    )
    install_provider(paths, "docker", VERSION, {"HOME": "/none", "PATH": ""})
    found = install_provider(paths, "docker", VERSION, environ)
    assert found.path == theirs
    assert says(installed(paths)) == "theirs"
    # And when it is gone again, ours comes back, without touching what was theirs.
    theirs.rename(tmp_path / "kept")
    assert install_provider(paths, "docker", VERSION, environ).source == OURS
    assert says(installed(paths)) == "ours"
    assert not theirs.exists()


def test_a_plugin_in_the_users_pulumi_home_wins(
    paths: Paths, environ: dict[str, str], tmp_path: Path
) -> None:
    home = tmp_path / "other-home"
    script(home / f"plugins/resource-docker-v{VERSION}/pulumi-resource-docker", "theirs")
    install_provider(paths, "docker", VERSION, {**environ, "PULUMI_HOME": str(home)})
    assert says(installed(paths)) == "theirs"


def test_a_plugin_that_pulumi_installed_here_is_left_alone(
    paths: Paths, environ: dict[str, str]
) -> None:
    script(installed(paths), "theirs")
    found = install_provider(paths, "docker", VERSION, environ)
    assert found.source == "upstream, in this clone's PULUMI_HOME"
    assert says(installed(paths)) == "theirs"


def test_a_plugin_on_the_path_wins_and_ours_is_taken_away(
    paths: Paths, environ: dict[str, str], tmp_path: Path
) -> None:
    install_provider(paths, "docker", VERSION, environ)
    script(tmp_path / "bin" / "pulumi-resource-docker", "theirs")
    found = install_provider(
        paths, "docker", VERSION, {**environ, "PATH": f"{tmp_path / 'bin'}:/bin"}
    )
    assert found.source == "on PATH"
    assert not installed(paths).exists()


def test_the_bridge_itself_on_the_path_is_not_upstreams(
    paths: Paths, environ: dict[str, str]
) -> None:
    path = f"{paths.root / 'plugins' / 'bin'}:/bin"
    assert find_upstream(paths, "docker", VERSION, {**environ, "PATH": path}) is None


@pytest.mark.parametrize("state", ["other version", "partial", "not executable"])
def test_what_is_no_whole_plugin_of_this_version_does_not_win(
    paths: Paths, environ: dict[str, str], tmp_path: Path, state: str
) -> None:
    version = "4.9.0" if state == "other version" else VERSION
    directory = tmp_path / "home/.pulumi/plugins" / f"resource-docker-v{version}"
    theirs = script(directory / "pulumi-resource-docker", "theirs")
    if state == "partial":
        Path(f"{directory}.partial").touch()
    if state == "not executable":
        theirs.chmod(0o644)
    assert install_provider(paths, "docker", VERSION, environ).source == OURS


def test_ours_for_an_older_sdk_is_removed_and_upstreams_kept(
    paths: Paths, environ: dict[str, str]
) -> None:
    install_provider(paths, "docker", "5.1.0", environ)
    script(installed(paths, version="4.0.0"), "theirs")
    install_provider(paths, "docker", VERSION, environ)
    left = sorted(path.name for path in (paths.pulumi_home / "plugins").iterdir())
    assert left == ["resource-docker-v4.0.0", f"resource-docker-v{VERSION}"]


def test_a_missing_bridge_is_said(paths: Paths, environ: dict[str, str]) -> None:
    (paths.root / "plugins/bin/pulumi-resource-docker").unlink()
    with pytest.raises(ToolchainError, match="plugins/bin/pulumi-resource-docker is missing"):
        install_provider(paths, "docker", VERSION, environ)
    with pytest.raises(ToolchainError, match="nothing is missing"):
        bridge_script(paths, "nothing")


def test_helpers_are_ours_beside_a_built_pulumi(paths: Paths, tmp_path: Path) -> None:
    pulumi = script(tmp_path / "cache" / "pulumi", "pulumi")
    found = install_helpers(paths, pulumi)
    assert {one.source for one in found.values()} == {OURS}
    assert says(paths.bin / "pulumi-language-python") == "ours"


def test_helpers_beside_the_users_pulumi_win(paths: Paths, tmp_path: Path) -> None:
    real = script(tmp_path / "sdk" / "pulumi", "pulumi")
    for name in PULUMI_HELPERS:
        script(real.parent / name, "theirs")
    linked = tmp_path / "bin" / "pulumi"
    linked.parent.mkdir()
    linked.symlink_to(real)
    install_helpers(paths, linked)
    assert {says(paths.bin / name) for name in PULUMI_HELPERS} == {"theirs"}


def test_half_a_set_of_helpers_is_not_mixed_with_ours(paths: Paths, tmp_path: Path) -> None:
    pulumi = script(tmp_path / "sdk" / "pulumi", "pulumi")
    script(pulumi.parent / PULUMI_HELPERS[0], "theirs")
    install_helpers(paths, pulumi)
    assert {says(paths.bin / name) for name in PULUMI_HELPERS} == {"ours"}


def test_the_wrapper_passes_arguments_as_they_are(tmp_path: Path) -> None:
    target = tmp_path / "a 'b' $c" / "tool"
    target.parent.mkdir()
    target.write_text('#!/bin/sh\nprintf "%s|" "$@"\n')
    target.chmod(0o755)
    link = tmp_path / "link"
    link.write_text(wrapper(target))
    link.chmod(0o755)
    assert subprocess.check_output([link, "x y", "$z"], text=True) == "x y|$z|"


def test_the_provider_is_installed_as_a_plugin(our_paths: Paths, tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"}
    here = Paths(root=tmp_path / "clone", cache=our_paths.cache, run=our_paths.run)
    with pytest.raises(ToolchainError, match="pulumi-resource-kubernetes is not there"):
        plugins.install_provider(here, "kubernetes", "4.25.0", environ)
    binary = tools.tool_dir(here, graph.PROVIDER) / graph.PROVIDER
    binary.parent.mkdir(parents=True)
    binary.write_text("#!/bin/sh\necho provider\n")
    binary.chmod(0o755)
    found = plugins.install_provider(here, "kubernetes", "4.25.0", environ)
    assert found == plugins.Found(binary, plugins.BUILT)
    wrapper = here.pulumi_home / "plugins/resource-kubernetes-v4.25.0" / graph.PROVIDER
    assert str(binary) in wrapper.read_text()
    # It is no upstream plugin: a second run finds the same again.
    assert plugins.find_upstream(here, "kubernetes", "4.25.0", environ) is None
    assert plugins.install_provider(here, "kubernetes", "4.25.0", environ) == found
