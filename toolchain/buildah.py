"""buildah, with a storage of its own below the cache: nobody else's images are touched.

It needs no daemon, and with chroot isolation no capability that a machine may withhold. It runs as
root, because a storage of root's needs neither user namespaces nor a file system in user space.

Every command holds a shared lock for as long as it runs, so that what killed builds left behind can
be told from what others are building right now.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from toolchain.host import become_root, capture
from toolchain.paths import Paths
from toolchain.steps import StepContext, StepError

#: Layers are given up as a whole when they have grown to this; the registry keeps what is built.
LIMIT_BYTES: Final = 24 * 10**9

#: By it programs take another time than the clock's (see reproducible-builds.org).
BUILD_TIME_VARIABLE: Final = "SOURCE_DATE_EPOCH"

_CA_BUNDLE: Final = Path("/etc/ssl/certs/ca-certificates.crt")
_PROXIES: Final = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy")

# For the exclusive lock: temporary files ($0) are nobody's then.
_ALONE: Final = 'rm -rf --one-file-system -- "$0" && mkdir -p -- "$0" && exec "$@"'


def ca_bundle(environ: Mapping[str, str] | None = None) -> Path | None:
    """Return the host's certificate authorities, which builds trust too; None if it has none.

    A proxy's private authority, say, is among them.
    """
    named = (os.environ if environ is None else environ).get("SSL_CERT_FILE")
    bundle = Path(named) if named else _CA_BUNDLE
    return bundle if bundle.is_file() else None


@dataclass(frozen=True)
class Buildah:
    """buildah's commands on our storage in `home`; `as_root` is what comes before them."""

    home: Path
    as_root: tuple[str, ...]

    @classmethod
    async def of(cls, context: StepContext, paths: Paths) -> Buildah:
        """Return it for this user; raises ToolchainError if the user can't become root."""
        return cls(paths.buildah, await context.thread(become_root))

    @property
    def command(self) -> tuple[str, ...]:
        """Return buildah with the options that every command has."""
        return ("buildah", "--root", str(self.home / "store"), "--runroot", str(self.home / "run"))

    def locked(self, *words: str | Path, alone: bool = False) -> tuple[str, ...]:
        """Return a command under the lock: shared, or `alone` and only if nobody else has it."""
        root = self.as_root
        if root:
            names = [*_PROXIES, *(name.upper() for name in _PROXIES), "TMPDIR"]
            root = (*root, f"--preserve-env={','.join(names)}")
        lock = str(self.home / "lock")
        if alone:
            how = ["--exclusive", "--nonblock", lock, "sh", "-c", _ALONE, str(self.home / "tmp")]
        else:
            how = ["--shared", lock]
        # In flock's place: who ends this process ends buildah.
        return (*root, "flock", "--no-fork", *how, *(str(word) for word in words))

    @property
    def environment(self) -> dict[str, str]:
        """Return what `locked` commands want in their environment."""
        return {"TMPDIR": str(self.home / "tmp")}

    async def run(self, context: StepContext, *words: str | Path) -> None:
        """Run one command of buildah with its output in the log; raises StepError if it fails."""
        argv = self.locked(*self.command, *words)
        if code := await context.run(*argv, env=self.environment, check=False):
            raise StepError(f"buildah {words[0]} exited with {code}")

    async def build(
        self,
        context: StepContext,
        directory: Path,
        ref: str,
        *,
        arguments: Mapping[str, str],
        target: str | None = None,
        epoch: bool = True,
        final: bool = True,
    ) -> None:
        """Build the Dockerfile in `directory` (its last stage, or `target`) and name the result.

        With `epoch` all files get the epoch's time, so that the same inputs give the same image.
        A `final` image does not keep what is in the environment for builds alone.
        """
        words: list[str | Path] = ["--isolation", "chroot", "--format", "oci", "--layers"]
        words += ["--force-rm", "--pull=false", "--tls-verify=false", "--tag", ref]
        for name, value in arguments.items():
            words += ["--build-arg", f"{name}={value}"]
        if target:
            words += ["--target", target]
        if epoch:
            words += ["--timestamp", "0"]
        if final:
            words += ["--unsetenv", BUILD_TIME_VARIABLE]
        if bundle := ca_bundle():
            words += ["--secret", f"id=ca,src={bundle}"]
        await self.run(context, "build", *words, directory)

    async def push(self, context: StepContext, ref: str) -> None:
        """Push an image to the registry in its name."""
        await self.run(context, "push", "--quiet", "--tls-verify=false", ref)

    async def tidy(self, context: StepContext) -> None:
        """Remove what killed builds left, and all layers when there are too many of them.

        Nothing happens while another build is at work.
        """
        await context.run(*self.as_root, "mkdir", "-p", self.home / "tmp")
        words = ["rm", "--all"]
        if await context.thread(self.stored_bytes) > LIMIT_BYTES:
            words = ["rmi", "--all", "--force"]
        argv = self.locked(*self.command, *words, alone=True)
        await context.run(*argv, env=self.environment, check=False)

    def stored_bytes(self) -> int:
        """Return what all layers take, as the storage's own index says; 0 if there is none."""
        index = self.home / "store" / "overlay-layers" / "layers.json"
        try:
            layers = json.loads(capture(*self.as_root, "cat", index) or "[]")
            return sum(int(layer.get("diff-size", 0)) for layer in layers)
        except (ValueError, TypeError, AttributeError):
            return 0
