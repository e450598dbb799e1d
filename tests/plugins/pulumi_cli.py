"""The real Pulumi CLI on a throw-away project that uses this clone's plugins."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

_LIMIT_S = 180.0


def cli(root: Path) -> Path:
    """Return the CLI that `make setup` put into the clone, or the one on PATH."""
    inside = root / ".triptych" / "bin" / "pulumi"
    found = str(inside) if inside.exists() else shutil.which("pulumi")
    assert found is not None, "there is no pulumi: run `make setup`"
    return Path(found)


class Project:
    """A project with a program, its own PULUMI_HOME and a file back end."""

    def __init__(self, root: Path, directory: Path, name: str, program: str) -> None:
        self.directory = directory / "project"
        self.directory.mkdir()
        (directory / "state").mkdir()
        self.name = name
        self._pulumi = cli(root)
        self.environment = {
            **os.environ,
            "PATH": f"{root / 'plugins' / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "PULUMI_HOME": str(directory / "home"),
            "PULUMI_BACKEND_URL": f"file://{directory / 'state'}?metadata=skip",
            "PULUMI_CONFIG_PASSPHRASE": "test",
            "PULUMI_SKIP_UPDATE_CHECK": "1",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "1",
        }
        # The plugins of this clone are what is tested, whatever is bundled or installed.
        self.environment.pop("PULUMI_IGNORE_AMBIENT_PLUGINS", None)
        options = {"toolchain": "pip", "virtualenv": str(root / ".venv")}
        self.settings(options)
        self.write(program)

    def settings(self, options: dict[str, str]) -> None:
        """Write Pulumi.yaml with these options for the Python runtime."""
        runtime = {"name": "python", "options": options}
        text = json.dumps({"name": self.name, "runtime": runtime})
        (self.directory / "Pulumi.yaml").write_text(text)

    def write(self, program: str) -> None:
        (self.directory / "__main__.py").write_text(program)

    def start(self, *args: str, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(self._pulumi), *args, "--non-interactive"],
            cwd=self.directory,
            env={**self.environment, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *args: str, code: int = 0, **variables: str) -> str:
        """Run a command, check its exit code and return its output."""
        process = self.start(*args, **variables)
        output, _ = process.communicate(timeout=_LIMIT_S)
        assert process.returncode == code, f"pulumi {' '.join(args)}: {output}"
        return output

    def up(self, *args: str, code: int = 0, **variables: str) -> str:
        return self.run("up", "--yes", "--skip-preview", *args, code=code, **variables)

    def refresh(self, *args: str, **variables: str) -> str:
        return self.run("refresh", "--yes", "--skip-preview", *args, code=0, **variables)

    def destroy(self, **variables: str) -> str:
        return self.run("destroy", "--yes", "--skip-preview", code=0, **variables)

    def resources(self) -> dict[str, dict[str, Any]]:
        """Return the state's resources by name, providers and the stack left out."""
        exported = json.loads(self.run("stack", "export"))
        listed = exported["deployment"].get("resources") or []
        return {
            resource["urn"].rpartition("::")[2]: resource
            for resource in listed
            if not resource["type"].startswith("pulumi:")
        }
