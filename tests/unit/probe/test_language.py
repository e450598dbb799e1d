from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest
from rich.console import Console

import probe
from probe import language, store, table, texts
from probe.errors import UsageProblem
from probe.language import t
from probe.report import write_report
from tests.support.probe_fakes import make_run

HOME = Path(probe.__file__).parent
#: Names of metrics, labels and experiments: data, the same in every language.
_NAME = re.compile(r"[a-z0-9_]+")


def written(value: object) -> Iterator[str]:
    """Yield every text in a constant."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from written(part)
    elif isinstance(value, tuple | list):
        for part in value:
            yield from written(part)


def all_texts() -> set[str]:
    found = {
        text
        for name in dir(texts)
        if name.isupper()
        for text in written(getattr(texts, name))
        if text not in ("-", "TCG") and not _NAME.fullmatch(text)
    }
    for path in HOME.rglob("*.py"):
        found |= set(re.findall(r"\bt\(\s*[\"']([^\"']+)[\"']\s*\)", path.read_text("utf-8")))
    page = (HOME / "report" / "page.html.j2").read_text("utf-8")
    return found | set(re.findall(r"\"([^\"]+)\"\|t\b", page))


def test_every_text_is_there_in_spanish() -> None:
    assert len(all_texts()) > 150
    assert sorted(all_texts() - set(language.words("es"))) == []


def test_a_translation_has_the_same_places_to_fill() -> None:
    def places(text: str) -> set[str]:
        return {name for _, name, _, _ in Formatter().parse(text) if name}

    for english, spanish in language.words("es").items():
        assert places(english) == places(spanish), english


def test_english_is_spoken_unless_told_otherwise() -> None:
    assert t("holds") == "holds"
    with language.spoken("es"):
        assert t("holds") == "se cumple"
        assert t("what a log said") == "what a log said"
    assert t("holds") == "holds"


def test_an_unknown_language_is_one_clear_line() -> None:
    with (
        pytest.raises(UsageProblem, match="unknown language 'xx': known are en, es"),
        language.spoken("xx"),
    ):
        pass


def test_page_and_table_are_in_spanish(tmp_path: Path) -> None:
    make_run(tmp_path / "run")
    run = store.read_run(tmp_path / "run")
    console = Console(file=io.StringIO(), width=220)
    with language.spoken("es"):
        page = write_report(tmp_path / "run", run).read_text(encoding="utf-8")
        console.print(table.render(run))
        console.print(table.claims(run))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert '<html lang="es">' in page
    markdown = (tmp_path / "run" / "report.md").read_text(encoding="utf-8")
    for text in ("Lo que se dice de los modelos", "Máquina virtual"):
        for where in (page, shown, markdown):
            assert text in where
    assert "Los contenedores ocupan megabytes" in page
    # Nothing of the page's own is left in English; what a deployment said is.
    own = re.sub(r"<script.*?</script>|<style.*?</style>|<pre.*?</pre>", "", page, flags=re.DOTALL)
    for text in ("On this machine", "How to reproduce", "Containers weigh", ">holds<", "verdict<"):
        assert text not in own
