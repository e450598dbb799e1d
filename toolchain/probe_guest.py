"""The initrd of the probe guest: one static program that says it runs and powers off.

Made here byte by byte, so that nothing has to be built or installed to ask which accelerator works.
x86-64 only, as the images and the guest disk are.
"""

from __future__ import annotations

import gzip
import stat
import struct

MARKER = "TRIPTYCH-PROBE-GUEST-RUNS"

_LOAD_ADDRESS = 0x400000
_HEADERS_SIZE = 64 + 56
_REBOOT = (169, 0xFEE1DEAD, 0x28121969, 0x4321FEDC)  # reboot(magic, magic2, POWER_OFF)
_WRITE = 1


def init_program(marker: str = MARKER) -> bytes:
    """Return a static ELF that writes the marker to stdout and powers the machine off."""
    text = f"\n{marker}\n".encode()

    def mov(opcode: int, value: int) -> bytes:
        """Return `mov r32, imm32`."""
        return bytes([opcode]) + struct.pack("<I", value)

    eax, edi, esi, edx = 0xB8, 0xBF, 0xBE, 0xBA
    syscall = b"\x0f\x05"
    number, magic, magic2, command = _REBOOT
    power_off = (
        mov(eax, number)
        + mov(edi, magic)
        + mov(esi, magic2)
        + mov(edx, command)
        + b"\x4d\x31\xd2"  # xor r10, r10
        + syscall
        + b"\xeb\xfe"  # jmp to itself, should the machine have no power switch
    )
    write_size = 4 * 5 + len(syscall)
    text_address = _LOAD_ADDRESS + _HEADERS_SIZE + write_size + len(power_off)
    write = mov(eax, _WRITE) + mov(edi, 1) + mov(esi, text_address) + mov(edx, len(text)) + syscall
    body = write + power_off + text
    size = _HEADERS_SIZE + len(body)
    elf = struct.pack(
        "<4sBBBB8xHHIQQQIHHHHHH",
        *(b"\x7fELF", 2, 1, 1, 0),
        *(2, 62, 1, _LOAD_ADDRESS + _HEADERS_SIZE, 64, 0, 0, 64, 56, 1, 0, 0, 0),
    )
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _LOAD_ADDRESS, _LOAD_ADDRESS, size, size, 0x1000)
    return elf + segment + body


def _entry(name: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)) -> bytes:
    """Return one entry of a cpio archive in the kernel's `newc` form."""
    path = name.encode() + b"\0"
    fields = (0, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(path), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + path
    return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)


def initrd(marker: str = MARKER) -> bytes:
    """Return a compressed initrd with /init and the console it writes to."""
    archive = (
        _entry("dev", stat.S_IFDIR | 0o755)
        + _entry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
        + _entry("init", stat.S_IFREG | 0o755, init_program(marker))
        + _entry("TRAILER!!!", 0)
    )
    return gzip.compress(archive, mtime=0)
