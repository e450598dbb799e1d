"""Where Pulumi finds the language host and the providers. Upstream's win, ours fill the gaps.

Two places of Pulumi's own look-up are used, so that a plain `pulumi up` works: beside the real
`pulumi` binary (language host and the dynamic provider are "bundled" plugins) and
`$PULUMI_HOME/plugins/resource-<name>-v<version>/`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from toolchain import upstream
from toolchain.errors import ToolchainError
from toolchain.files import write_text
from toolchain.paths import Paths
from toolchain.python_env import installed_version
from toolchain.steps import Step, StepContext
from toolchain.tools import PULUMI_HELPERS, record, tool_dir, tool_path

MARK = "Made by Triptych's toolchain: starts this clone's own bridge."
OURS = "this clone's bridge (plugins/)"
BUILT = "the toolchain's own"
PROVIDERS = ("docker", "libvirt", "kubernetes")
#: Those that are a tool of tools.py where upstream's plugin isn't here, and not a bridge.
TOOL_PROVIDERS = ("kubernetes",)
INSTALL_TIMEOUT_S = 180.0


@dataclass(frozen=True)
class Found:
    """An upstream plugin: its binary and how it came to be there."""

    path: Path
    source: str


def wrapper(target: Path) -> str:
    """Return the script that starts `target`, wherever the script itself is put or linked."""
    quoted = "'" + str(target).replace("'", "'\\''") + "'"
    return f'#!/bin/sh\n# {MARK}\nexec {quoted} "$@"\n'


def is_ours(path: Path) -> bool:
    """Tell whether a plugin's binary is our wrapper or a bridge script, not upstream's."""
    try:
        with path.open("rb") as script:
            head = script.read(512)
    except OSError:
        return False
    folder = path.resolve().parent
    return MARK.encode() in head or (folder.name == "bin" and folder.parent.name == "plugins")


def user_homes(paths: Paths, environ: Mapping[str, str]) -> list[Path]:
    """Return the Pulumi homes of the user's own that may hold upstream plugins."""
    homes = [Path(environ[name]) for name in ("PULUMI_HOME",) if environ.get(name)]
    homes.append(Path(environ.get("HOME") or Path.home()) / ".pulumi")
    return [home for home in homes if home.resolve() != paths.pulumi_home.resolve()]


def find_upstream(
    paths: Paths, name: str, version: str, environ: Mapping[str, str] | None = None
) -> Found | None:
    """Return the upstream provider to be used, if there is one: on PATH, installed, or the user's.

    A plugin still being downloaded (`.partial`) does not count.
    """
    env = os.environ if environ is None else environ
    binary = f"pulumi-resource-{name}"
    # Pulumi itself looks on PATH first and takes any version it finds there.
    for place in env.get("PATH", "").split(os.pathsep):
        candidate = Path(place) / binary
        if place and os.access(candidate, os.X_OK) and not is_ours(candidate):
            return Found(candidate, "on PATH")
    directory = f"resource-{name}-v{version}"
    for home, source in [
        (paths.pulumi_home, "upstream, in this clone's PULUMI_HOME"),
        *((home, f"upstream, in {home}") for home in user_homes(paths, env)),
    ]:
        installed = home / "plugins" / directory
        candidate = installed / binary
        if installed.with_name(directory + ".partial").exists():
            continue
        if os.access(candidate, os.X_OK) and not is_ours(candidate):
            return Found(candidate, source)
    return None


def built(paths: Paths, name: str) -> bool:
    """Tell whether a provider that is a tool has been downloaded or built."""
    binary = f"pulumi-resource-{name}"
    return os.access(tool_dir(paths, binary) / binary, os.X_OK)


def install_provider(
    paths: Paths, name: str, version: str, environ: Mapping[str, str] | None = None
) -> Found:
    """Make the provider's directory in PULUMI_HOME hold upstream's if had, else ours.

    Ours is the bridge, or what the toolchain has downloaded or built.
    """
    directory = paths.pulumi_home / "plugins" / f"resource-{name}-v{version}"
    binary = directory / f"pulumi-resource-{name}"
    found = find_upstream(paths, name, version, environ)
    if found:
        inside = found.path.is_relative_to(directory)
        if not inside:
            _remove(directory)
            if found.source != "on PATH":
                directory.parent.mkdir(parents=True, exist_ok=True)
                directory.symlink_to(found.path.parent, target_is_directory=True)
    else:
        if directory.is_symlink():
            directory.unlink()
        if name in TOOL_PROVIDERS:
            target = tool_dir(paths, binary.name) / binary.name
            if not built(paths, name):
                raise ToolchainError(f"{binary.name} is not there", "run make setup")
            found = Found(target, BUILT)
        else:
            target = bridge_script(paths, binary.name)
            found = Found(binary, OURS)
        write_text(binary, wrapper(target), mode=0o755)
    # The provider of another SDK version would only confuse `pulumi plugin ls`.
    for other in directory.parent.glob(f"resource-{name}-v*"):
        if other != directory and is_ours(other / binary.name):
            _remove(other)
    return found


def install_helpers(paths: Paths, pulumi: Path) -> dict[str, Found]:
    """Put the language host and the dynamic provider beside the clone's `pulumi`.

    Upstream's are those beside the real `pulumi` that the clone's one is a link or copy of.
    """
    result: dict[str, Found] = {}
    upstream_dir = pulumi.resolve().parent
    # The host and what it runs belong together: both upstream's or both ours.
    whole = all(
        os.access(upstream_dir / name, os.X_OK) and not is_ours(upstream_dir / name)
        for name in PULUMI_HELPERS
    )
    for name in PULUMI_HELPERS:
        if whole:
            target = upstream_dir / name
            result[name] = Found(target, f"upstream, beside {pulumi}")
        else:
            target = bridge_script(paths, name)
            result[name] = Found(target, OURS)
        write_text(paths.bin / name, wrapper(target), mode=0o755)
    return result


def bridge_script(paths: Paths, name: str) -> Path:
    """Return the clone's own plugin of this name; raises ToolchainError if it isn't there."""
    script = paths.root / "plugins" / "bin" / name
    if not os.access(script, os.X_OK):
        raise ToolchainError(f"plugins/bin/{name} is missing or not executable")
    return script


def _remove(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)


def plugins_step(paths: Paths, needs: tuple[str, ...]) -> Step:
    """Return the step that installs the providers and the language host. Fast: always run."""

    async def run(context: StepContext) -> None:
        pulumi = tool_path(paths, "pulumi")
        words = []
        for name in PROVIDERS:
            version = await context.thread(installed_version, paths, f"pulumi-{name}")
            found_upstream = find_upstream(paths, name, version)
            if name in TOOL_PROVIDERS and not found_upstream and not built(paths, name):
                words.append(f"no {name}")
                continue
            there = name in TOOL_PROVIDERS or found_upstream
            if not there and await context.thread(upstream.reachable):
                # Fails where downloads are cut off half-way: then ours is used.
                with contextlib.suppress(ToolchainError):
                    await context.run(
                        paths.bin / "pulumi",
                        *("plugin", "install", "resource", name, version),
                        env={"PULUMI_HOME": str(paths.pulumi_home)},
                        timeout_s=INSTALL_TIMEOUT_S,
                    )
            found = install_provider(paths, name, version)
            if found.source == BUILT:
                words.append(f"{name} as set up")  # Its own step has recorded it.
                continue
            why = (
                "no upstream plugin of this version is had"
                if found.source == OURS
                else "upstream's wins"
            )
            record(
                paths,
                f"pulumi-resource-{name}",
                version=version,
                path=found.path,
                source=found.source,
                why=why,
            )
            words.append(f"{name} {'bridge' if found.source == OURS else 'upstream'}")
        sdk = await context.thread(installed_version, paths, "pulumi")
        for helper, found in install_helpers(paths, pulumi).items():
            ours = found.source == OURS
            record(
                paths,
                helper,
                version=sdk,
                path=found.path,
                source=found.source,
                why="none beside pulumi" if ours else "upstream's wins",
            )
            if helper == PULUMI_HELPERS[0]:
                words.append(f"language host {'bridge' if ours else 'upstream'}")
        context.conclude(", ".join(words))

    return Step("plugins", run, needs, detail="language host, docker, libvirt, kubernetes")
