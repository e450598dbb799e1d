"""The guest disk: a shape's guest image as a compressed qcow2 with kernel and initrd beside it."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from toolchain.buildah import Buildah
from toolchain.files import write_text
from toolchain.steps import StepContext

VIRTUAL_BYTES = 3 * 1024**3
#: What the system on this disk is started with. By its label: on another bus it has another name.
CMDLINE = (
    "root=LABEL=triptych-root rw rootfstype=ext4 console=ttyS0 quiet loglevel=3 "
    "systemd.show_status=false rd.systemd.show_status=false"
)
#: For the layers, the raw disk and the compressed one, while they are made.
NEEDED_BYTES = 3 * 1024**3


@dataclass(frozen=True)
class Disk:
    """A built guest disk and what it weighs.

    `shipped_bytes` is what travels (compressed disk, kernel, initrd), `unpacked_bytes` what the
    same takes uncompressed.
    """

    disk: Path
    kernel: Path
    initrd: Path
    virtual_bytes: int
    shipped_bytes: int
    unpacked_bytes: int
    build_s: float


def disk_files(directory: Path, shape: str, key: str) -> tuple[Path, Path, Path, Path]:
    """Return where a disk of this key, its kernel, its initrd and its record are."""
    return (
        directory / f"guest-{shape}-{key}.qcow2",
        directory / f"vmlinuz-{shape}-{key}",
        directory / f"initrd-{shape}-{key}",
        directory / f"guest-{shape}-{key}.json",
    )


def read_disk(directory: Path, shape: str, key: str) -> Disk | None:
    """Return the disk of this key, None unless it is whole."""
    disk, kernel, initrd, record = disk_files(directory, shape, key)
    if not all(path.is_file() for path in (disk, kernel, initrd, record)):
        return None
    try:
        values = json.loads(record.read_text())
        return Disk(disk=disk, kernel=kernel, initrd=initrd, **values)
    except (ValueError, TypeError):
        return None


async def make_disk(
    context: StepContext,
    buildah: Buildah,
    *,
    root: Path,
    directory: Path,
    shape: str,
    key: str,
    image: str,
    started_s: float,
) -> Disk:
    """Make the guest disk in `directory` from its image in buildah's storage.

    `started_s` is the monotonic time at which the image's build began.
    """
    work = directory / f"guest-{shape}.tmp"
    await context.run(*buildah.as_root, "rm", "-rf", "--one-file-system", work)
    work.mkdir(parents=True)
    try:
        context.say("guest disk: file system")
        script = root / "shop/guest/make-disk"
        argv = buildah.locked(script, image, work, str(VIRTUAL_BYTES), *buildah.command)
        await context.run(*argv, env=buildah.environment)
        raw = work / "disk.raw"
        context.say("guest disk: compressing")
        await context.run(
            "qemu-img",
            "convert",
            "-c",
            *("-O", "qcow2", "-o", "compression_type=zstd", "-m", "4", "-W"),
            raw,
            work / "disk.qcow2",
        )
        small = [work / "disk.qcow2", work / "vmlinuz", work / "initrd"]
        boot_bytes = sum(path.stat().st_size for path in small[1:])
        disk, kernel, initrd, record = disk_files(directory, shape, key)
        for path, final in zip(small, (disk, kernel, initrd), strict=True):
            shutil.copyfile(path, path.with_suffix(".own"))  # ours, whoever made it
            path.with_suffix(".own").replace(final)
        built = Disk(
            disk=disk,
            kernel=kernel,
            initrd=initrd,
            virtual_bytes=VIRTUAL_BYTES,
            shipped_bytes=sum(path.stat().st_size for path in small),
            unpacked_bytes=raw.stat().st_blocks * 512 + boot_bytes,
            build_s=round(time.monotonic() - started_s, 1),
        )
        values = {k: v for k, v in asdict(built).items() if not isinstance(v, Path)}
        write_text(record, json.dumps(values) + "\n")
        return built
    finally:
        await context.run(*buildah.as_root, "rm", "-rf", "--one-file-system", work, check=False)
