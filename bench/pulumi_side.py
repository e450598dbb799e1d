"""Our side: a stack of the bench's own, deployed by the CLI as a user would."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import commands
from bench.stopwatch import Stopwatch
from probe.engine import Engine
from probe.errors import ProbeError

TIMEOUT_S = 300.0


@dataclass(frozen=True)
class PulumiSide:
    """A stack; ``url`` is where its gateway will answer."""

    name: str
    config: Mapping[str, str]
    url: str
    engine: Engine
    root: Path
    env: Mapping[str, str]

    @property
    def prefix(self) -> str:
        """Return what the names of its containers or its domain start with."""
        return f"triptych-{self.name}"

    @property
    def _pulumi(self) -> Path:
        own = self.root / ".triptych" / "bin" / "pulumi"
        return own if own.exists() else Path("pulumi")

    def create(self) -> None:
        """Make the empty stack with its configuration; like a compose file, it is not timed."""
        self.engine.create(self.name, self.config)

    def deploy(self) -> None:
        """Deploy without a clock."""
        self._command("up", "--yes", "--skip-preview").finish(TIMEOUT_S)

    def first_transaction(self) -> float:
        """Deploy; return the seconds from the command's start to the first transaction."""
        watch = Stopwatch(self.url)
        try:
            command = self._command("up", "--yes", "--skip-preview")
            command.finish(TIMEOUT_S)
            return watch.seconds_since(command.started_at, TIMEOUT_S)
        finally:
            watch.close()

    def preview(self) -> float:
        """Return the seconds of a preview that finds nothing to change; else raise."""
        return self._command("preview", "--expect-no-changes").finish(TIMEOUT_S)

    def outputs(self) -> dict[str, Any]:
        """Return the stack's outputs."""
        return self.engine.outputs(self.name)

    def state(self) -> dict[str, Any]:
        """Return the stack's state as the CLI exports it, secrets as what they are."""
        done = subprocess.run(
            [self._pulumi, "stack", "export", "--show-secrets", "--stack", self.name],
            cwd=self.root,
            env={**os.environ, **self.env},
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise ProbeError(f"pulumi stack export: {done.stderr.decode(errors='replace').strip()}")
        state: dict[str, Any] = json.loads(done.stdout)
        return state

    def destroy(self) -> None:
        """Destroy what the stack has; the empty stack stays."""
        self.engine.destroy(self.name, TIMEOUT_S)

    def remove(self) -> None:
        """Destroy the stack if it is there, and remove it with its configuration file."""
        with contextlib.suppress(ProbeError):
            self.engine.destroy(self.name, TIMEOUT_S)
        self.engine.remove(self.name)

    def _command(self, *words: str) -> commands.Command:
        return commands.Command(
            [self._pulumi, *words, "--stack", self.name, "--non-interactive", "--color", "never"],
            cwd=self.root,
            env=self.env,
        )
