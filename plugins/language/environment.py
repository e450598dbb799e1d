"""The Python environment that a project asks for in Pulumi.yaml (`runtime.options`)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class SetupError(Exception):
    """The environment can't be used; the text is one line for the user."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment, or the ambient `python3` when none is configured."""

    venv: Path | None

    @classmethod
    def of_project(cls, root: str, options: dict[str, Any]) -> Environment:
        """Read the `toolchain` and `virtualenv` options of the project in `root`."""
        toolchain = str(options.get("toolchain") or "pip")
        if toolchain != "pip":
            raise SetupError(
                f"runtime.options.toolchain is {toolchain!r} in Pulumi.yaml, "
                "but this language host knows pip only"
            )
        venv = options.get("virtualenv")
        return cls(Path(root, str(venv)) if venv else None)

    @property
    def python(self) -> str:
        """Path of the interpreter."""
        if self.venv is None:
            command = os.environ.get("PULUMI_PYTHON_CMD") or "python3"
            found = shutil.which(command)
            if found is None:
                raise SetupError(f"no {command} on PATH to run the program with")
            return found
        python = self.venv / "bin" / "python"
        if not python.exists():
            raise SetupError(
                f"the virtual environment {self.venv} that Pulumi.yaml names is missing or "
                "incomplete: run `pulumi install` in the project"
            )
        return str(python)

    def variables(self) -> dict[str, str]:
        """Return the environment variables for a process in this environment."""
        variables = dict(os.environ)
        if self.venv is not None:
            variables["VIRTUAL_ENV"] = str(self.venv)
            variables["PATH"] = f"{self.venv / 'bin'}{os.pathsep}{variables.get('PATH', '')}"
            variables.pop("PYTHONHOME", None)
        return variables

    def query(self, *args: str) -> str:
        """Return what the interpreter prints for some arguments."""
        command = [self.python, *args]
        try:
            return subprocess.run(
                command, env=self.variables(), capture_output=True, text=True, check=True
            ).stdout.strip()
        except subprocess.CalledProcessError as error:
            last = (error.stderr or "").strip().rpartition("\n")[2]
            raise SetupError(f"{' '.join(command)} failed: {last}") from error

    def pulumi_plugins(self) -> list[tuple[str, str]]:
        """Return (name, version) of the resource plugins that installed SDK packages want."""
        if self.venv is not None:
            if not self.venv.exists():
                return []
            sites = list(self.venv.glob("lib*/python3*/site-packages"))
        else:
            sites = [
                Path(self.query("-c", "import sysconfig; print(sysconfig.get_path('purelib'))"))
            ]
        found = {}
        for site in sites:
            for path in site.glob("*/pulumi-plugin.json"):
                plugin = json.loads(path.read_text())
                if plugin.get("resource") and plugin.get("name"):
                    found[str(plugin["name"])] = str(plugin.get("version") or "")
        return sorted(found.items())

    def packages(self, *, transitive: bool) -> list[tuple[str, str]]:
        """Return (name, version) of the installed packages."""
        direct = [] if transitive else ["--not-required"]
        listed = json.loads(self.query("-m", "pip", "list", "--format", "json", *direct))
        return [(str(item["name"]), str(item["version"])) for item in listed]

    def install(self, directory: Path) -> Iterator[str]:
        """Create the virtual environment and install requirements.txt; yield the output."""
        if self.venv is not None and not (self.venv / "bin" / "python").exists():
            yield f"Creating virtual environment {self.venv}...\n"
            base = Environment(None)
            yield from _stream([base.python, "-m", "venv", str(self.venv)], directory, None)
        requirements = directory / "requirements.txt"
        if requirements.exists():
            yield "Installing dependencies of requirements.txt...\n"
            command = [self.python, "-m", "pip", "install", "-r", str(requirements)]
            yield from _stream(command, directory, self.variables())
        yield "Finished installing dependencies\n"


def _stream(command: list[str], directory: Path, variables: dict[str, str] | None) -> Iterator[str]:
    with subprocess.Popen(
        command,
        cwd=directory,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        yield from process.stdout
    if process.returncode != 0:
        raise SetupError(f"{' '.join(command)} exited with code {process.returncode}")
