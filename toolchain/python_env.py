"""The clone's virtual environment, exactly as `constraints.txt` says."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from toolchain.errors import ToolchainError
from toolchain.files import digest, is_stamped, write_text
from toolchain.host import capture, find
from toolchain.paths import Paths
from toolchain.steps import Step, StepContext
from toolchain.versions import parse_version, show

REQUIREMENTS = ("requirements.txt", "requirements-dev.txt", "constraints.txt")
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
    # libvirt-python is built against the libvirt that is installed.
    libvirt = capture("pkg-config", "--modversion", "libvirt") if find("pkg-config") else ""
    files = [paths.root / name for name in REQUIREMENTS]
    python = show(tuple(sys.version_info[:2]))
    return digest(files, python, libvirt.strip(), str(paths.venv))


def _works(paths: Paths) -> bool:
    """Tell whether the venv has a Python that starts and is new enough."""
    python = venv_python(paths)
    version = parse_version(capture(python, "--version")) if python.exists() else None
    return version is not None and version[:2] >= MINIMUM


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
        await context.run(
            python,
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--no-input",
            "--requirement",
            "requirements-dev.txt",
            "--constraint",
            "constraints.txt",
            cwd=paths.root,
        )
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
