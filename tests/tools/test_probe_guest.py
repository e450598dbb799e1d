"""The guest that tells whether KVM works, in a real qemu."""

from __future__ import annotations

from toolchain.accelerator import boot, guest_kernel
from toolchain.paths import Paths


def test_the_probe_guest_really_boots_a_linux_kernel() -> None:
    """With TCG, which works on every machine, and the kernel that `make setup` got."""
    real = guest_kernel(Paths.find())
    assert real is not None, "run make setup first"
    result = boot(real, "tcg", 60)
    assert result.ok, result.words
