"""Which accelerator a VM really gets here: found by booting a small Linux guest.

/dev/kvm being there, opening and even creating a VM proves nothing: there are machines where a
stock kernel then dies in its decompressor. So a real kernel is booted (the shop guest's own once it
is built, else Debian's cloud kernel) until its init speaks, and the answer is kept for this kernel,
this qemu and that guest kernel.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from toolchain.errors import ToolchainError
from toolchain.files import write_text
from toolchain.host import become_root, capture, find
from toolchain.paths import Paths
from toolchain.probe_guest import MARKER, initrd
from toolchain.steps import Step, StepContext
from toolchain.versions import parse_version, show

KVM_TIMEOUT_S = 15.0
OVERRIDE = "TRIPTYCH_ACCELERATOR"
Kind = Literal["kvm", "tcg"]


@dataclass(frozen=True)
class Accelerator:
    """What a VM on this machine gets, and how we know."""

    kind: Kind
    reason: str


@dataclass(frozen=True)
class Boot:
    """What a boot of the probe guest gave; `words` are the console's last line or qemu's error."""

    ok: bool
    elapsed_s: float
    words: str


def override(environ: Mapping[str, str]) -> Accelerator | None:
    """Return the accelerator that the user set by TRIPTYCH_ACCELERATOR, if any."""
    chosen = environ.get(OVERRIDE, "")
    if chosen in ("", "auto"):
        return None
    if chosen == "kvm":
        return Accelerator("kvm", f"set by {OVERRIDE}")
    if chosen == "tcg":
        return Accelerator("tcg", f"set by {OVERRIDE}")
    raise ToolchainError(f"{OVERRIDE}={chosen}", "use kvm, tcg or auto")


def guest_kernel(paths: Paths) -> Path | None:
    """Return the kernel to boot: the shop guest's if it is built, else the fetched one."""
    try:
        guests = json.loads(paths.artefacts_json.read_text())["guests"].values()
        # The same kernel in each shape's guest.
        for kernel in (Path(guest["kernel"]) for guest in guests):
            if os.access(kernel, os.R_OK):
                return kernel
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return next(iter(sorted((paths.cache / "probe-guest").glob("vmlinuz-*"), reverse=True)), None)


def boot(kernel: Path, accelerator: Kind, timeout_s: float, prefix: tuple[str, ...] = ()) -> Boot:
    """Boot the probe guest; it is ended after `timeout_s`."""
    qemu = find("qemu-system-x86_64")
    if qemu is None:
        return Boot(False, 0.0, "qemu-system-x86_64 is not installed")
    with tempfile.TemporaryDirectory(prefix="triptych-probe-") as directory:
        ramdisk = Path(directory) / "initrd"
        ramdisk.write_bytes(initrd())
        argv = [
            *prefix,
            str(qemu),
            *("-machine", "pc", "-accel", accelerator, "-m", "256", "-smp", "1"),
            *("-cpu", "host" if accelerator == "kvm" else "max"),
            *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
            *("-serial", "stdio", "-kernel", str(kernel), "-initrd", str(ramdisk)),
            *("-append", "console=ttyS0 panic=-1 quiet"),
        ]
        started_s = time.monotonic()
        try:
            done = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=timeout_s,
                check=False,
            )
            out, err = done.stdout, done.stderr
        except subprocess.TimeoutExpired as error:
            out, err = error.stdout or b"", error.stderr or b""
        except OSError as error:
            out, err = b"", str(error).encode()
        elapsed_s = time.monotonic() - started_s
    if MARKER.encode() in out:
        return Boot(True, elapsed_s, MARKER)
    said = (err or out).decode(errors="replace").strip().splitlines()
    words = said[0].removeprefix("qemu-system-x86_64: ")[:160] if said else ""
    return Boot(False, elapsed_s, words or "no word on its console")


def _digest(kernel: Path) -> str:
    with kernel.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()[:12]


def cache_key(kernel: Path) -> str:
    """Return what the answer depends on: this kernel, this qemu, the guest's kernel, /dev/kvm."""
    qemu = show(parse_version(capture("qemu-system-x86_64", "--version")) or ())
    device = "kvm" if Path("/dev/kvm").exists() else "no-kvm"
    return f"{os.uname().release} qemu-{qemu} guest-{_digest(kernel)} {device}"


def probe(kernel: Path) -> tuple[Accelerator, bool]:
    """Boot the guest with KVM; return what to use, and whether that answer may be kept."""
    device = Path("/dev/kvm")
    if not device.exists():
        return Accelerator("tcg", "there is no /dev/kvm"), True
    prefix: tuple[str, ...] = ()
    if not os.access(device, os.R_OK | os.W_OK):
        try:
            prefix = become_root()
        except ToolchainError:
            return Accelerator("tcg", "no permission on /dev/kvm: join the group kvm"), False
    result = boot(kernel, "kvm", KVM_TIMEOUT_S, prefix)
    if result.ok:
        return Accelerator(
            "kvm", f"a Linux guest booted with KVM in {result.elapsed_s:.1f} s"
        ), True
    how = (
        f"had not booted with KVM after {result.elapsed_s:.0f} s"
        if result.elapsed_s >= KVM_TIMEOUT_S
        else "did not boot with KVM"
    )
    return Accelerator("tcg", f"a Linux guest {how} ({result.words})"), True


def detect(paths: Paths | None = None, environ: Mapping[str, str] | None = None) -> Accelerator:
    """Return the accelerator for VMs here: the override, the kept answer, or a probe (≤ 15 s)."""
    paths = paths or Paths.find()
    if chosen := override(os.environ if environ is None else environ):
        return chosen
    kernel = guest_kernel(paths)
    if kernel is None:
        return Accelerator("tcg", "not probed yet: run make setup")
    if known := recall(paths, kernel):
        return known
    found, keep = probe(kernel)
    if keep:
        answers = {**_answers(paths), cache_key(kernel): asdict(found)}
        write_text(_store(paths), json.dumps(answers, indent=2) + "\n")
    return found


def _store(paths: Paths) -> Path:
    return paths.cache / "probe-guest" / "accelerator.json"


def _answers(paths: Paths) -> dict[str, dict[str, str]]:
    """Return the kept answers by what they depend on: clones may have different guests."""
    try:
        answers: dict[str, dict[str, str]] = json.loads(_store(paths).read_text())
    except (OSError, ValueError):
        return {}
    return {key: one for key, one in answers.items() if isinstance(one, dict)}


def recall(paths: Paths, kernel: Path) -> Accelerator | None:
    """Return the kept answer for this machine and guest kernel, if there is one."""
    kept = _answers(paths).get(cache_key(kernel), {})
    if kept.get("kind") == "kvm":
        return Accelerator("kvm", kept.get("reason", ""))
    if kept.get("kind") == "tcg":
        return Accelerator("tcg", kept.get("reason", ""))
    return None


def accelerator_step(paths: Paths, needs: tuple[str, ...]) -> Step:
    """Return the step that boots the probe guest, fetching a kernel for it where there is none."""

    async def run(context: StepContext) -> None:
        if guest_kernel(paths) is None:
            context.say("fetching a kernel for the probe guest")
            await _fetch_kernel(context, paths)
        context.say("booting a Linux guest")
        found = await context.thread(detect, paths)
        context.conclude(f"{found.kind}: {found.reason}")

    def is_done() -> bool | str:
        kernel = guest_kernel(paths)
        known = recall(paths, kernel) if kernel else None
        return f"{known.kind}: {known.reason}" if known else False

    return Step("accelerator", run, needs, is_done, "which one a VM really gets")


async def _fetch_kernel(context: StepContext, paths: Paths) -> None:
    """Take the kernel out of Debian's cloud image package; nothing is installed."""
    directory = paths.cache / "probe-guest"
    directory.mkdir(parents=True, exist_ok=True)
    depends = await context.output("apt-cache", "depends", "linux-image-cloud-amd64", check=False)
    packages = [
        line.split()[-1] for line in depends.splitlines() if "Depends: linux-image-" in line
    ]
    if not packages:
        raise ToolchainError("apt does not know linux-image-cloud-amd64", "run apt-get update")
    with tempfile.TemporaryDirectory(dir=directory) as temporary:
        place = Path(temporary)
        await context.run("apt-get", "download", packages[0], cwd=place)
        package = next(place.glob("*.deb"))
        await context.run("dpkg-deb", "--extract", package, place / "unpacked")
        kernel = next((place / "unpacked" / "boot").glob("vmlinuz-*"))
        kernel.replace(directory / kernel.name)


def main() -> None:
    """Print the answer as JSON."""
    print(json.dumps(asdict(detect())))


if __name__ == "__main__":
    main()
