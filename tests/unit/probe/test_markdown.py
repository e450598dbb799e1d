"""The report in Markdown."""

from __future__ import annotations

from pathlib import Path


def test_markdown_has_the_verdicts(folder: Path) -> None:
    text = (folder / "report.md").read_text()
    assert "| Containers weigh megabytes, virtual machines gigabytes. | **does not hold** |" in text
    # Every row of a table has as many cells as its head.
    for table in [part for part in text.split("\n\n") if part.startswith("|")]:
        counts = {row.replace("\\|", "").count("|") for row in table.splitlines()}
        assert len(counts) == 1, table
