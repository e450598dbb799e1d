"""The guest that tells whether KVM works, as bytes."""

from __future__ import annotations

import gzip
import re
import struct

from toolchain.probe_guest import init_program, initrd


def test_the_probe_guest_is_a_static_program_in_a_cpio_archive() -> None:
    program = init_program()
    machine, entry = struct.unpack_from("<H4xQ", program, 18)
    assert program[:4] == b"\x7fELF"
    assert machine == 62
    assert entry == 0x400000 + 120
    archive = gzip.decompress(initrd())
    names = [name.decode() for name in re.findall(rb"070701[0-9A-F]{104}([^\0]+)\0", archive)]
    assert names == ["dev", "dev/console", "init", "TRAILER!!!"]
    assert len(archive) % 4 == 0
    assert program in archive
