"""The printed table."""

from __future__ import annotations

import re
from pathlib import Path

from probe import store, texts
from probe.records import Side
from probe.summary import Index
from tests.support.probe_fakes import SERVICES, make_run, text_of


def test_the_table_marks_every_emulated_value(tmp_path: Path) -> None:
    make_run(tmp_path)
    text = text_of(tmp_path)
    assert texts.EMULATED in text
    assert "not tested: no hardware virtualisation" in " ".join(text.split())
    # Below each value stand interval and counts; those of the machine's columns say TCG as well.
    for line in text.splitlines():
        if re.search(r"\d/\d", line) and line.count("│") == 6:
            cells = line.split("│")[2:6]
            assert all("TCG" in c for c in cells[2:] if re.search(r"\d/\d", c)), line
            assert not any("TCG" in c for c in cells[:2]), line
    assert "2/3" in text  # the failed deployment


def test_every_column_says_model_and_shape(tmp_path: Path) -> None:
    make_run(tmp_path)
    titles = [c.title for c in Index(store.read_run(tmp_path).samples).columns]
    assert titles == [
        "Docker, microservices, cold",
        "Docker, microservices, warm",
        "Virtual machine, monolith, cold, emulated (TCG)",
        "Virtual machine, monolith, warm, emulated (TCG)",
    ]


def test_each_services_share_has_its_row(tmp_path: Path) -> None:
    make_run(tmp_path)
    lines = text_of(tmp_path).splitlines()
    headings = [n for n, line in enumerate(lines) if "share of memory" in line]
    assert headings
    rows = [line.split("│")[1].strip() for line in lines[headings[0] + 1 :] if "MiB" in line]
    for name in (*SERVICES["microservices"], "monolith", "application, together", "guest OS"):
        assert name in rows, name


def test_what_a_difference_is_due_to_is_said(tmp_path: Path) -> None:
    def said(*sides: Side) -> str:
        folder = tmp_path / "-".join(f"{s.model}{s.shape}" for s in sides)
        make_run(folder, sides=sides)
        return " ".join(text_of(folder).split())

    docker = [Side("docker", shape) for shape in ("microservices", "monolith")]
    vm = [Side("vm", shape) for shape in ("microservices", "monolith")]
    mixed = " ".join(texts.MIXED.split())
    unmixed = " ".join(texts.UNMIXED.split())
    assert mixed in said(docker[0], vm[1])
    assert unmixed in said(*docker, *vm)
    assert unmixed in said(docker[1], vm[1])
    alone = said(docker[0])
    assert mixed not in alone
    assert unmixed not in alone


def test_a_run_on_hardware_is_not_called_emulated(tmp_path: Path) -> None:
    make_run(tmp_path, accelerator="kvm")
    assert "TCG" not in text_of(tmp_path)
