"""The file of the environment."""

from __future__ import annotations

import stat
import subprocess

from toolchain import envfile
from toolchain.paths import Paths


def test_env_is_for_a_shell_and_keeps_the_passphrase(paths: Paths) -> None:
    envfile.write(paths)
    first = paths.passphrase.read_text()
    envfile.write(paths)
    assert paths.passphrase.read_text() == first
    assert len(first.strip()) >= 32
    assert stat.S_IMODE(paths.passphrase.stat().st_mode) == 0o600
    shell = f'. "{paths.env_file}"; . "{paths.env_file}"; printenv PATH PULUMI_BACKEND_URL'
    out = subprocess.check_output(
        ["/bin/sh", "-uc", shell + "; echo ${PULUMI_CONFIG_PASSPHRASE-unset}"],
        text=True,
        env={"PATH": "/usr/bin:/bin", "PULUMI_CONFIG_PASSPHRASE": "mine"},
    ).splitlines()
    assert out == [
        f"{paths.bin}:{paths.venv / 'bin'}:/usr/bin:/bin",
        f"file://{paths.backend}?metadata=skip",
        "unset",
    ]
