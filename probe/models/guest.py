"""A way into the guest for those experiments that do something there: SSH with a key of our own.

A stack lets somebody in whose key it is told (``ssh_public_key``). The probe has one per clone, and
tells the machines that it deploys itself, if such an experiment is wanted.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
)

from probe import commands
from probe.errors import ProbeError
from toolchain.paths import Paths

#: An emulated guest makes its host key when the first connection comes, and takes its time for it.
CONNECT_S: Final = 60
COMMAND_S: Final = 300.0
_FOLDER: Final = "/run/triptych-attempts"
_UNIT: Final = "triptych-attempts.service"
#: What is handed to systemd and the shell: addresses, ports, names, paths.
_PLAIN: Final = re.compile(r"[A-Za-z0-9._:,/-]*")

#: A unit like a service's, but for what it runs: the same user, limits and hardening. Its own death
#: by the memory limit ends what died alone, as it does in a container.
_COPY: Final = rf"""
set -eu
unit=$(systemctl show -p FragmentPath --value triptych-$1.service)
shift
arguments=
for word in "$@"; do arguments="$arguments \"$word\""; done
sed -e '/^Restart/d' -e 's|^Type=.*|Type=oneshot|' \
    -e "s|^ExecStart=.*|ExecStart=/usr/bin/python3 {_FOLDER}/script.py$arguments|" \
    -e 's|^\[Service\]|&\nOOMPolicy=continue\nStandardOutput=truncate:{_FOLDER}/out|' \
    "$unit" >/run/systemd/system/{_UNIT}
systemctl daemon-reload
forget() {{
    rm -f /run/systemd/system/{_UNIT}
    systemctl reset-failed {_UNIT} || :
    systemctl daemon-reload
}}
trap forget EXIT
if ! systemctl start {_UNIT}; then
    journalctl --no-pager -n 3 -o cat -u {_UNIT} >&2
    exit 1
fi
cat {_FOLDER}/out
"""


def key_file() -> Path:
    """Return the probe's private key, made when it is first asked for."""
    file = Paths.find().state / "probe-key"
    if not file.exists():
        private = Ed25519PrivateKey.generate()
        text = private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        file.parent.mkdir(parents=True, exist_ok=True)
        new = file.with_suffix(f".{os.getpid()}")
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(text)
        new.replace(file)
    return file


def public_key(file: Path) -> str:
    """Return the line that lets a private key's owner in."""
    private = load_ssh_private_key(file.read_bytes(), password=None)
    line = private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return f"{line.decode()} triptych-probe"


class Guest:
    """A connection to the guest, opened when it is first used and kept until ``close``."""

    def __init__(self, address: str, key: Path, command: Sequence[str] = ("ssh",)) -> None:
        self._where = f"root@{address}"
        self._folder = tempfile.TemporaryDirectory(prefix="triptych-ssh-")
        self._command = [
            *command,
            *("-i", str(key), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"),
            # The machine is new, and its key was made a moment ago.
            *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
            *("-o", "LogLevel=ERROR", "-o", f"ConnectTimeout={CONNECT_S}"),
            *("-o", "ServerAliveInterval=10", "-o", "ServerAliveCountMax=6"),
            *("-o", "ControlMaster=auto", "-o", "ControlPersist=600"),
            *("-o", f"ControlPath={self._folder.name}/%C"),
        ]

    def run(self, script: str, *arguments: str) -> str:
        """Return what a shell script prints; raise ProbeError with its last line if it fails."""
        for word in arguments:
            if not _PLAIN.fullmatch(word):
                raise ProbeError(f"{word!r} is nothing to hand to the guest")
        words = " ".join(f"'{word}'" for word in arguments)
        return self._ssh(f"sh -s -- {words}", script)

    def write(self, path: str, text: str) -> None:
        """Write a file that everybody may read."""
        self._ssh(f"umask 022; mkdir -p $(dirname {path}); cat >{path}", text)

    def hardened(self, service: str, script: str, arguments: Sequence[str]) -> str:
        """Run Python in a unit like the service's."""
        self.write(f"{_FOLDER}/script.py", script)
        return self.run(_COPY, service, *arguments)

    def unhardened(self, script: str, arguments: Sequence[str]) -> str:
        """Run Python as root, without a unit."""
        self.write(f"{_FOLDER}/script.py", script)
        return self.run(f'exec /usr/bin/python3 {_FOLDER}/script.py "$@"', *arguments)

    def main_process(self, unit: str) -> int:
        """Return the process that a unit lives by."""
        said = self.run('systemctl show -p MainPID --value "$1"', unit).strip()
        if not said.isdigit() or said == "0":
            raise ProbeError(f"{unit} does not run in the guest")
        return int(said)

    def _ssh(self, command: str, text: str) -> str:
        argv = [*self._command, self._where, command]
        return commands.output(argv, what="the guest by SSH", timeout_s=COMMAND_S, text=text)

    def close(self) -> None:
        """End the connection."""
        with suppress(OSError):  # no ssh, no connection
            subprocess.run(
                [*self._command, "-O", "exit", self._where], capture_output=True, check=False
            )
        self._folder.cleanup()
