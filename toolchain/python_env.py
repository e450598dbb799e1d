"""The clone's virtual environment, exactly as `constraints.txt` says.

Made by uv, which takes an eighth of pip's time but for byte code, and takes what another clone has
from its cache. uv itself comes by pip, at the version and with the hash in `toolchain/uv.txt`.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from toolchain.errors import ToolchainError
from toolchain.files import digest, is_stamped, write_text
from toolchain.host import capture, find
from toolchain.paths import Paths
from toolchain.steps import Step, StepContext
from toolchain.versions import parse_version, show

REQUIREMENTS = ("requirements.txt", "requirements-dev.txt", "constraints.txt", "toolchain/uv.txt")
#: What pip is told of where packages come from, and how uv is told the same.
INDEXES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "cert": "SSL_CERT_FILE",
}
MINIMUM = (3, 11)


def venv_python(paths: Paths) -> Path:
    """Return the venv's Python, there or not."""
    return paths.venv / "bin" / "python"


def base_python() -> Path:
    """Return the Python to make the venv from: the one that runs this, outside any venv."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (Path(sys.base_prefix) / "bin" / name, Path(sys.executable)):
        if candidate.exists():
            return candidate
    return Path(sys.executable)


def _key(paths: Paths) -> str:
    files = [paths.root / name for name in REQUIREMENTS]
    python = show(tuple(sys.version_info[:2]))
    # libvirt-python is built against the libvirt that is installed.
    return digest(files, python, _libvirt(), str(paths.venv))


def _libvirt() -> str:
    """Return the version of libvirt that is built against; empty if there is none."""
    found = capture("pkg-config", "--modversion", "libvirt") if find("pkg-config") else ""
    return found.strip()


def _works(paths: Paths) -> bool:
    """Tell whether the venv has a Python that starts and is new enough."""
    python = venv_python(paths)
    version = parse_version(capture(python, "--version")) if python.exists() else None
    return version is not None and version[:2] >= MINIMUM


def uv_environment(python: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return what uv has to be told so that it asks where the user's pip does.

    uv reads neither pip's files nor its variables.
    """
    configured = _configured(python)
    told = {}
    for name, variable in INDEXES.items():
        places = (f":env:.{name}", f"install.{name}", f"global.{name}")
        value = next((configured[place] for place in places if configured.get(place)), "")
        if value and variable not in environ:
            told[variable] = " ".join(value.split())
    return told


def _configured(python: Path) -> dict[str, str]:
    """Return pip's configuration, its variables (`:env:.cert`) among it, by what pip calls it."""
    lines = capture(python, "-m", "pip", "config", "list").splitlines()
    pairs = (line.split("=", 1) for line in lines if re.match(r"\S+='.*'$|\S+=\".*\"$", line))
    return {name: str(ast.literal_eval(value)) for name, value in pairs}


def venv_step(paths: Paths, needs: tuple[str, ...]) -> Step:
    """Return the step that makes `.venv`, or brings it up to date."""
    stamp = paths.venv / ".triptych-stamp"

    def is_done() -> bool | str:
        if not (is_stamped(stamp, _key(paths)) and _works(paths)):
            return False
        return f"Python {capture(venv_python(paths), '--version').split()[-1]}"

    async def run(context: StepContext) -> None:
        if not _works(paths):
            shutil.rmtree(paths.venv, ignore_errors=True)
            await context.run(base_python(), "-m", "venv", paths.venv)
        python = venv_python(paths)
        version = (await context.output(python, "--version")).split()[-1]
        context.say(f"Python {version}, packages from constraints.txt")
        pip = (python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input")
        uv = paths.root / "toolchain" / "uv.txt"
        await context.run(*pip, "--require-hashes", "--requirement", uv)
        told = await context.thread(uv_environment, python, os.environ)
        # What is built against libvirt is another one's with another libvirt.
        cache = paths.cache / "uv" / (await context.thread(_libvirt) or "unknown")
        # Compiled now: where PYTHONDONTWRITEBYTECODE is set, each preview would do it again.
        install = (
            *(
                paths.venv / "bin" / "uv",
                "pip",
                "install",
                "--compile-bytecode",
                "--python",
                python,
            ),
            *("--requirement", "requirements-dev.txt", "--constraint", "constraints.txt"),
        )
        env = {"UV_CACHE_DIR": str(cache), **told}
        # With all of it in the cache nothing is asked for, and nothing built again: an index that
        # says nothing of how long its answers are good has each looked at anew.
        cached = (*install, "--offline")
        if await context.run(*cached, cwd=paths.root, env=env, check=False):
            await context.run(*install, cwd=paths.root, env=env)
        key = await context.thread(_key, paths)
        write_text(stamp, key + "\n")

    return Step("venv", run, needs, is_done, "Python packages")


def installed_version(paths: Paths, distribution: str) -> str:
    """Return the version of a package in the venv; raises ToolchainError if it isn't there."""
    code = "import importlib.metadata as m, sys; print(m.version(sys.argv[1]))"
    version = capture(venv_python(paths), "-c", code, distribution).strip()
    if not version or "\n" in version:
        raise ToolchainError(f"{distribution} is not in .venv", "run make setup")
    return version
