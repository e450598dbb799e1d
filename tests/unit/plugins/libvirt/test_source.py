"""Where a volume's content comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from plugins.bridge import UserError
from plugins.libvirt import source


def test_sources(tmp_path: Path) -> None:
    image = tmp_path / "a.qcow2"
    image.write_bytes(b"QFI\xfb" + bytes(100))
    for location in (str(image), image.as_uri()):
        with source.opened(location) as opened:
            assert (opened.size_bytes, opened.is_qcow2) == (104, True)
            assert len(opened.stream.read()) == 104
    with (
        pytest.raises(UserError, match="No such file"),
        source.opened(str(tmp_path / "gone")),
    ):
        pass
    with pytest.raises(UserError, match="'ftp' is not supported"), source.opened("ftp://x/y"):
        pass
