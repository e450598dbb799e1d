"""Files that appear whole, and digests over them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.programs import fake_tool
from toolchain.files import digest, is_stamped, link_or_copy, new_directory, write_text


def test_a_new_directory_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    final = tmp_path / "x" / "1.0"

    def half() -> None:
        with new_directory(final) as fresh:
            (fresh / "a").touch()
            raise StepInterrupted

    class StepInterrupted(Exception):
        pass

    with pytest.raises(StepInterrupted):
        half()
    assert list(final.parent.iterdir()) == []
    stale = final.parent / ".1.0.999999999.tmp"
    stale.mkdir()
    with new_directory(final) as fresh:
        (fresh / "a").write_text("new")
    assert [path.name for path in final.parent.iterdir()] == ["1.0"]
    assert (final / "a").read_text() == "new"


def test_digest_is_over_names_contents_and_extras(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("1")
    two.write_text("2")
    first = digest([one, two], "x")
    assert first == digest([two, one], "x")
    assert len({first, digest([one], "x"), digest([one, two], "y"), digest([one, two])}) == 4
    write_text(tmp_path / "stamp", first + "\n")
    assert is_stamped(tmp_path / "stamp", first)
    assert not is_stamped(tmp_path / "none", first)


def test_a_link_is_the_same_file(tmp_path: Path) -> None:
    source = fake_tool(tmp_path, "tool", "x")
    link_or_copy(source, tmp_path / "bin" / "tool")
    link_or_copy(source, tmp_path / "bin" / "tool")
    assert (tmp_path / "bin" / "tool").samefile(source)
    assert [path.name for path in (tmp_path / "bin").iterdir()] == ["tool"]
