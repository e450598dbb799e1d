"""Debian's Chromium, trusting exactly the CA that the shop under test is served under."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Playwright

_ARGUMENTS = (
    "--no-sandbox",  # CI's containers have no user namespaces
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class BrowserError(Exception):
    """The browser cannot be had; the message says what is missing."""


def _find(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise BrowserError(f"{name} is not installed; Debian's package {package} has it")
    return found


def _trust(home: Path, ca_file: Path) -> None:
    """Put a CA into the certificate store that Chromium reads from its user's home."""
    store = home / ".pki" / "nssdb"
    store.mkdir(parents=True)
    certutil = [_find("certutil", "libnss3-tools"), "-d", f"sql:{store}"]
    for command in (
        [*certutil, "-N", "--empty-password"],
        [*certutil, "-A", "-t", "C,,", "-n", "shop under test", "-i", str(ca_file)],
    ):
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            raise BrowserError(f"certutil: {done.stderr.strip()}")


def _launcher(home: Path) -> Path:
    """Write the program that starts Chromium on a steady network."""
    launcher = home / "chromium"
    start = [sys.executable, str(Path(__file__).with_name("steady_network.py"))]
    command = shlex.join([*start, _find("chromium", "chromium")])
    launcher.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    launcher.chmod(0o700)
    return launcher


@contextmanager
def chromium(playwright: Playwright, ca_file: Path | None) -> Iterator[Browser]:
    """Start Chromium with a home of its own; certificates are checked as everywhere."""
    with tempfile.TemporaryDirectory(prefix="triptych-browser-") as name:
        home = Path(name)
        if ca_file is not None:
            _trust(home, ca_file)
        browser = playwright.chromium.launch(
            executable_path=_launcher(home),
            args=list(_ARGUMENTS),
            env={**os.environ, "HOME": str(home)},
        )
        try:
            yield browser
        finally:
            browser.close()
