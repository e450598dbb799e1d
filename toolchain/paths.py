"""Where things are: per clone, per user, per boot."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Paths:
    """The directories and files of one clone and of one user.

    `root` is the clone, `cache` is shared by the user's clones and may be deleted at any time,
    `run` holds the pid files of daemons that we started.
    """

    root: Path
    cache: Path
    run: Path

    @classmethod
    def find(cls, root: Path | None = None, environ: Mapping[str, str] | None = None) -> Paths:
        """Return the paths for `root` (default: the clone this file is in)."""
        env = os.environ if environ is None else environ
        home = Path(env.get("HOME") or Path.home())
        if chosen := env.get("TRIPTYCH_CACHE"):
            cache = Path(chosen).expanduser()
        else:
            cache = Path(env.get("XDG_CACHE_HOME") or home / ".cache") / "triptych"
        return cls(
            root=(root or Path(__file__).resolve().parent.parent),
            cache=cache.absolute(),
            run=Path(env.get("TRIPTYCH_RUN") or "/run/triptych"),
        )

    @property
    def state(self) -> Path:
        """`.triptych`, everything per clone except the venv."""
        return self.root / ".triptych"

    @property
    def bin(self) -> Path:
        """Where the clone's `pulumi` and what is looked up beside it are."""
        return self.state / "bin"

    @property
    def pulumi_home(self) -> Path:
        """PULUMI_HOME of the clone."""
        return self.state / "pulumi-home"

    @property
    def backend(self) -> Path:
        """Directory of the local file backend."""
        return self.state / "state"

    @property
    def passphrase(self) -> Path:
        """File with the random passphrase that encrypts secrets in the state."""
        return self.state / "passphrase"

    @property
    def env_file(self) -> Path:
        """Shell file of exports, to be sourced."""
        return self.state / "env"

    @property
    def tools_json(self) -> Path:
        """Record of every tool: version, path, source, why."""
        return self.state / "tools.json"

    @property
    def kubeconfigs(self) -> Path:
        """Return where the kubeconfig files of our own clusters lie, one each."""
        return self.state / "kubeconfig"

    @property
    def artefacts_json(self) -> Path:
        """Record of what `build` made."""
        return self.state / "artefacts.json"

    @property
    def venv(self) -> Path:
        """The clone's virtual environment."""
        return self.root / ".venv"

    @property
    def tools(self) -> Path:
        """Cache of tools, `tools/<name>/<version>/`."""
        return self.cache / "tools"

    @property
    def artefacts(self) -> Path:
        """Cache of built artefacts, keyed by content."""
        return self.cache / "artefacts"

    @property
    def buildah(self) -> Path:
        """Storage of buildah: layers and what its runs need; root owns it."""
        return self.cache / "buildah"

    @property
    def registry(self) -> Path:
        """Storage of the local image registry."""
        return self.cache / "registry"

    @property
    def logs(self) -> Path:
        """One log per step, and last time's durations."""
        return self.cache / "logs"

    @property
    def checks(self) -> Path:
        """What services' own checks have passed with, and what they said."""
        return self.cache / "checks"

    @property
    def downloads(self) -> Path:
        """Files fetched and verified, kept so that a second run need not fetch them."""
        return self.cache / "downloads"
