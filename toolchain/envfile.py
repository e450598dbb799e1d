"""`.triptych/env`: what a shell needs so that plain `pulumi` commands work, without an account."""

from __future__ import annotations

import secrets
import shlex

from toolchain.files import write_text
from toolchain.paths import Paths


def variables(paths: Paths) -> dict[str, str]:
    """Return the variables for Pulumi in this clone."""
    return {
        "PULUMI_HOME": str(paths.pulumi_home),
        # The engine's side files of metadata are written in place: one cut short by kill -9 makes
        # the whole stack unreadable ("failed to load checkpoint: EOF"). State is renamed whole.
        "PULUMI_BACKEND_URL": f"file://{paths.backend}?metadata=skip",
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(paths.passphrase),
        "PULUMI_SKIP_UPDATE_CHECK": "1",
        # All plugins are there after setup; without this a missing one is looked for on the net.
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "1",
    }


def render(paths: Paths) -> str:
    """Return the shell text: exports, and the clone's tools first on PATH, once."""
    lines = ["# Made by the toolchain. Use it by:  . .triptych/env"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in variables(paths).items()]
    # A set variable (even an empty one) would be used instead of the file.
    lines.append("unset PULUMI_CONFIG_PASSPHRASE")
    places = f"{paths.bin}:{paths.venv / 'bin'}"
    lines += [
        'case ":$PATH:" in',
        f"*{shlex.quote(':' + places + ':')}*) ;;",
        f'*) export PATH={shlex.quote(places)}:"$PATH" ;;',
        "esac",
    ]
    return "\n".join(lines) + "\n"


def write(paths: Paths) -> None:
    """Make `.triptych` with its state directory, passphrase (kept if there) and env file."""
    paths.backend.mkdir(parents=True, exist_ok=True)
    paths.pulumi_home.mkdir(parents=True, exist_ok=True)
    paths.bin.mkdir(parents=True, exist_ok=True)
    if not paths.passphrase.exists():
        write_text(paths.passphrase, secrets.token_urlsafe(32) + "\n", mode=0o600)
    write_text(paths.env_file, render(paths))
