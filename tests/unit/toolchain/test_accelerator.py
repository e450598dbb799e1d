"""Which accelerator a VM gets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from toolchain import accelerator
from toolchain.accelerator import Accelerator, detect, guest_kernel, override
from toolchain.errors import ToolchainError
from toolchain.paths import Paths
from toolchain.probe_guest import MARKER


@pytest.mark.parametrize("kind", ["kvm", "tcg"])
def test_the_accelerator_may_be_set(kind: str, paths: Paths) -> None:
    found = detect(paths, {accelerator.OVERRIDE: kind})
    assert found == Accelerator(kind, "set by TRIPTYCH_ACCELERATOR")  # type: ignore[arg-type]


def test_a_bad_override_is_refused() -> None:
    assert override({}) is None
    assert override({accelerator.OVERRIDE: "auto"}) is None
    with pytest.raises(ToolchainError, match="TRIPTYCH_ACCELERATOR=xen: use kvm, tcg or auto"):
        override({accelerator.OVERRIDE: "xen"})


def fake_qemu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str) -> Path:
    """Put a script in qemu's place and a file in the kernel's; return the count of its runs."""
    qemu, runs = tmp_path / "qemu", tmp_path / "runs"
    qemu.write_text(f"#!/bin/sh\necho run >> '{runs}'\n{script}\n")
    qemu.chmod(0o755)
    monkeypatch.setattr(accelerator, "find", lambda name: qemu)
    return runs


@pytest.fixture
def kernel(paths: Paths) -> Path:
    place = paths.cache / "probe-guest" / "vmlinuz-6.1"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"kernel")
    return place


@pytest.fixture
def kvm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make /dev/kvm be there, whatever this machine has."""
    device = tmp_path / "kvm"
    device.touch()
    real = Path

    def path(*parts: str) -> Path:
        return device if parts == ("/dev/kvm",) else real(*parts)

    monkeypatch.setattr(accelerator, "Path", path)
    return device


@pytest.mark.usefixtures("kvm", "kernel")
def test_a_guest_that_boots_means_kvm_and_is_remembered(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = fake_qemu(monkeypatch, tmp_path, f"echo noise; echo {MARKER}")
    found = detect(paths, {})
    assert found.kind == "kvm"
    assert found.reason.startswith("a Linux guest booted with KVM in")
    assert detect(paths, {}) == found
    assert runs.read_text() == "run\n"


@pytest.mark.usefixtures("kvm")
def test_another_guest_kernel_is_probed_anew(
    paths: Paths, tmp_path: Path, kernel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = fake_qemu(monkeypatch, tmp_path, f"echo {MARKER}")
    detect(paths, {})
    kernel.write_bytes(b"another")
    detect(paths, {})
    assert runs.read_text() == "run\nrun\n"
    # The first one's answer is kept beside it.
    kernel.write_bytes(b"kernel")
    detect(paths, {})
    assert runs.read_text() == "run\nrun\n"


@pytest.mark.usefixtures("kvm", "kernel")
def test_a_device_without_a_booting_guest_means_tcg(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_qemu(monkeypatch, tmp_path, "echo Probing EDD; exec sleep 60")
    monkeypatch.setattr(accelerator, "KVM_TIMEOUT_S", 0.3)
    found = detect(paths, {})
    assert found.kind == "tcg"
    assert found.reason == "a Linux guest had not booted with KVM after 0 s (Probing EDD)"


@pytest.mark.usefixtures("kvm", "kernel")
def test_what_qemu_says_is_the_reason(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_qemu(monkeypatch, tmp_path, "echo 'qemu-system-x86_64: no MSR' >&2; exit 1")
    assert detect(paths, {}).reason == "a Linux guest did not boot with KVM (no MSR)"


def test_without_a_kernel_nothing_is_claimed(paths: Paths) -> None:
    assert detect(paths, {}) == Accelerator("tcg", "not probed yet: run make setup")


def test_the_built_guests_kernel_comes_first(paths: Paths, kernel: Path, tmp_path: Path) -> None:
    assert guest_kernel(paths) == kernel
    built = tmp_path / "vmlinuz-built"
    built.touch()
    paths.state.mkdir(parents=True)
    guests = {"microservices": {"kernel": "/nowhere"}, "monolith": {"kernel": str(built)}}
    paths.artefacts_json.write_text(json.dumps({"guests": guests}))
    assert guest_kernel(paths) == built
    built.unlink()
    assert guest_kernel(paths) == kernel
