"""Doctor's table."""

from __future__ import annotations

from toolchain import doctor


def test_doctors_plain_table_marks_what_is_missing() -> None:
    rows = [
        doctor.Row("go", "1.26.8", "Debian package golang-go"),
        doctor.Row("pulumi", "-", "-", "missing", "make setup"),
    ]
    assert doctor.plain([("Tools", rows)]).splitlines() == [
        "Tools",
        "  go      1.26.8  Debian package golang-go",
        "! pulumi  -       -  -> make setup",
    ]
