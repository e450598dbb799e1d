"""The report's page."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from probe import store
from probe.records import Sample, TrialDone
from probe.report import write_report
from tests.support.probe_fakes import make_manifest, make_run, make_sample, text_of


def test_the_page_stands_alone_and_says_everything(tmp_path: Path) -> None:
    make_run(tmp_path)
    page = write_report(tmp_path, store.read_run(tmp_path)).read_text()
    own, _, rest = page.partition("<script>")
    own += rest.rpartition("</script>")[2]
    assert not re.search(r"""(?:src|href)=["'](?!#)""", own)
    assert own.count("emulated (TCG)") > 5
    assert own.count("not tested: no hardware virtualisation") >= 4
    assert "the console&#39;s last line" in own
    assert "2/3" in own
    for chart in (
        "phases",
        "memory",
        "shares",
        "cpu",
        "cpu_shares",
        "disk",
        "provisioning",
        "latency",
    ):
        assert f'data-chart="{chart}"' in own


def test_the_page_of_another_run_is_the_same_twice(tmp_path: Path) -> None:
    make_run(tmp_path)
    run = store.read_run(tmp_path)
    first = write_report(tmp_path, run).read_text()
    assert write_report(tmp_path, run).read_text() == first


def test_what_a_deployment_wrote_cannot_break_the_page(tmp_path: Path) -> None:
    folder = store.RunFolder(tmp_path)
    folder.create(make_manifest())
    nasty = "</script><script>alert(1)</script>"
    sample = make_sample(value=None, outcome="failed", evidence=nasty)
    folder.finish_trial(
        [sample, make_sample()], TrialDone("1-docker-monolith-warm", "failed", 1.0, 2)
    )
    page = write_report(tmp_path, store.read_run(tmp_path)).read_text()
    assert nasty not in page


def test_an_empty_run_gives_a_page(tmp_path: Path) -> None:
    store.RunFolder(tmp_path).create(make_manifest())
    page = write_report(tmp_path, store.read_run(tmp_path)).read_text()
    assert "No finished deployment" in page
    assert "No finished round" in text_of(tmp_path)


class Watched(Sample):
    """A sample that counts how often anything is read of one."""

    looks = 0

    def __getattribute__(self, name: str) -> Any:
        Watched.looks += 1
        return super().__getattribute__(name)


def test_a_reports_work_grows_no_faster_than_its_samples(tmp_path: Path) -> None:
    make_run(tmp_path)
    run = store.read_run(tmp_path)
    sample = make_sample(experiment="load", metric="latency_s").to_json()

    def looks(number: int) -> int:
        many = [
            Watched.from_json({**sample, "round": 1 + i % 40, "value": i / 1e5})
            for i in range(number)
        ]
        Watched.looks = 0
        write_report(tmp_path, replace(run, samples=(*run.samples, *many)))
        return Watched.looks

    assert 0 < looks(4000) <= 4 * looks(1000)
