"""The common Debian userland: the image that the services' images and the guest are built on."""

from __future__ import annotations

import os
from pathlib import Path

from toolchain.buildah import BUILD_TIME_VARIABLE
from toolchain.steps import StepContext, StepError

SUITE = "trixie"
OFFICIAL_IMAGE = "docker.io/library/debian:trixie-slim"
#: How long an image registry may take for the official image before we make our own.
PULL_TIMEOUT_S = 60.0

#: Our own, from the archive that `mmdebstrap` writes. That no service is to start while packages
#: are installed is said in it as in Debian's images.
_OURS = """\
FROM scratch
ADD base.tar /
COPY policy-rc.d /usr/sbin/
CMD ["/bin/bash"]
"""
POLICY = "#!/bin/sh\nexit 101\n"

#: The time that programs put into what they make while images are built, such as the day on which
#: a user was added: that of the oldest files that a zip archive can hold.
_BUILD_TIME = 315532800


#: What neither a container nor the guest reads: the same as Debian's slim images leave out.
_OPTIONS = (
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/info/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-include=/usr/share/locale/locale.alias",
    '--aptopt=Acquire::Languages "none"',
    '--aptopt=APT::Install-Recommends "false"',
)


def dockerfile(*, official: bool) -> str:
    """Return the base image's Dockerfile."""
    start = f"FROM {OFFICIAL_IMAGE}\n" if official else _OURS
    return f"{start}ENV {BUILD_TIME_VARIABLE}={_BUILD_TIME}\n"


async def mmdebstrap(context: StepContext, target: Path) -> None:
    """Write Debian's minimal system to the tar archive `target`.

    Raises StepError, in one line, if the mirror can't be reached or breaks off.
    """
    mode = "root" if os.geteuid() == 0 else "auto"
    code = await context.run(
        "mmdebstrap",
        *("--variant=minbase", f"--mode={mode}", "--format=tar", "--quiet"),
        *_OPTIONS,
        *(SUITE, target),
        check=False,
    )
    if code:
        raise StepError(
            f"mmdebstrap exited with {code}",
            "Debian's mirror was not reached or broke off, or the disk is full; "
            "see the log and run the same command again",
        )
