from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from probe import store, table, texts
from probe.records import Side, TrialDone
from probe.report import write_report
from probe.stats import bootstrap_median, describe
from probe.summary import Index, proof_of_concept, segments, show, show_range
from tests.unit.probe_fakes import SERVICES, make_manifest, make_run, make_sample


def test_a_median_with_its_interval() -> None:
    found = describe([3.0, 1.0, 2.0, 5.0, 4.0])
    assert found.median == 3.0
    assert found.low is not None
    assert found.high is not None
    assert 1.0 <= found.low < 3.0 < found.high <= 5.0
    assert found.count == "5/5"


def test_failures_lower_the_count_and_stay() -> None:
    found = describe([1.0, None, 2.0])
    assert (found.median, found.count) == (1.5, "2/3")
    assert found.low is None
    nothing = describe([None, None])
    assert (nothing.median, nothing.count) == (None, "0/2")
    assert describe([]).count == "0/0"


def test_the_same_samples_give_the_same_interval() -> None:
    data = [4.1, 3.9, 4.4, 4.0, 5.2, 3.8]
    assert bootstrap_median(data) == bootstrap_median(data)
    assert bootstrap_median([2.0, 2.0, 2.0]) == (2.0, 2.0)


def test_intervals_hold_the_median_as_often_as_they_say() -> None:
    """95 % intervals of ten values cover the true median about so often (small n: a bit less)."""
    rng = np.random.default_rng(5)
    hits = 0
    trials = 60
    for _ in range(trials):
        low, high = bootstrap_median(rng.exponential(size=15))
        hits += low <= np.log(2) <= high
    assert hits / trials >= 0.85


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "s", "-"),
        (0.0123, "s", "12.3 ms"),
        (4.256, "s", "4.26 s"),
        (43.21, "s", "43.2 s"),
        (512, "bytes", "512 B"),
        (-3 * 2**20, "bytes", "-3.00 MiB"),
        (300 * 2**20, "bytes", "300 MiB"),
        (1.5 * 2**30, "bytes", "1.50 GiB"),
        (0.016, "cores", "1.6 % of a core"),
        (12, "count", "12"),
    ],
)
def test_values_are_shown_with_their_unit(value: float | None, unit: str, text: str) -> None:
    assert show(value, unit) == text


def test_ranges_name_their_unit_once_where_it_is_one() -> None:
    assert show_range(describe([1.0, 2.0]), "s") == "1.00 to 2.00 s"
    assert show_range(describe([0.5, 2.0]), "s") == "500 ms to 2.00 s"
    assert show_range(describe([2.0, 2.0]), "s") == ""
    assert show_range(describe([2.0]), "s") == ""


def test_values_of_one_deployment_do_not_count_as_several() -> None:
    samples = [
        make_sample(experiment="latency", metric="transaction_s", round=r, value=v)
        for r, values in ((1, (1.0, 1.2, 9.0)), (2, (2.0, 2.2, 2.4)))
        for v in values
    ]
    index = Index(samples)
    interval = index.figure(index.columns[0], "latency", "transaction_s").interval
    assert interval.median == pytest.approx((1.2 + 2.2) / 2)
    assert interval.low is None  # two deployments, not six values
    assert interval.count == "6/6"


def test_phases_add_up_within_each_deployment(tmp_path: Path) -> None:
    make_run(tmp_path, fail=False)
    index = Index(store.read_run(tmp_path).samples)
    for column in index.columns:
        parts = segments(index, column)
        for number, phases in enumerate(index.trials(column).values()):
            whole = phases["first_transaction_s"].value
            total = sum(figure.samples[number].value or 0 for _, _, figure in parts)
            assert total == pytest.approx(whole)


def text_of(folder: Path) -> str:
    console = Console(width=160, record=True, file=Path("/dev/null").open("w"))  # noqa: SIM115
    run = store.read_run(folder)
    console.print(table.render(run))
    console.print(table.poc(run))
    return console.export_text()


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


def test_the_proof_of_concept_is_the_monolith_in_each_model(tmp_path: Path) -> None:
    everything = tuple(
        Side(model, shape) for model in ("docker", "vm") for shape in ("microservices", "monolith")
    )
    make_run(tmp_path / "all", sides=everything)
    title, columns = proof_of_concept(Index(store.read_run(tmp_path / "all").samples))
    assert title == texts.POC_TITLE
    assert [(c.model, c.shape, c.state) for c in columns] == [
        ("docker", "monolith", "warm"),
        ("vm", "monolith", "warm"),
    ]
    make_run(tmp_path / "own")
    title, columns = proof_of_concept(Index(store.read_run(tmp_path / "own").samples))
    assert title == texts.SHORT_TITLE
    assert len(columns) == 2


def test_a_run_on_hardware_is_not_called_emulated(tmp_path: Path) -> None:
    make_run(tmp_path, accelerator="kvm")
    assert "TCG" not in text_of(tmp_path)


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


def test_a_hundred_thousand_samples_are_reported_in_time(tmp_path: Path) -> None:
    folder = make_run(tmp_path)
    many = [
        make_sample(experiment="load", metric="latency_s", round=1 + i % 40, value=i / 1e5)
        for i in range(100_000)
    ]
    folder.finish_trial(many, TrialDone("1-docker-monolith-warm", "ok", 1.0, 100_000))
    began = time.monotonic()
    write_report(tmp_path, store.read_run(tmp_path))
    assert time.monotonic() - began < 10  # 5 s on an idle machine; here others run beside it


def cli(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "probe", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )


@pytest.mark.parametrize(
    ("words", "text", "code"),
    [
        (
            ("compare", "--models", "lxc"),
            "unknown model 'lxc': known are docker, kubernetes, vm",
            2,
        ),
        (("estimate", "--shapes", "serverless"), "known are microservices, monolith", 2),
        (("estimate", "--experiments", "speed"), "unknown experiment speed", 2),
        (("estimate", "--states", "tepid"), "unknown state tepid: known are cold, warm", 2),
        (("report", "results/never"), "no such results folder", 1),
    ],
)
def test_bad_input_is_one_clear_line(words: tuple[str, ...], text: str, code: int) -> None:
    done = cli(*words)
    assert text in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.returncode == code


def test_damaged_results_are_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / store.MANIFEST).write_text("{")
    done = cli("report", str(tmp_path))
    assert "cannot be read" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.returncode == 1


def test_the_estimate_counts_the_deployments() -> None:
    done = cli("estimate", "--reps", "2", "--states", "warm")
    assert done.stdout.startswith("6 deployments, about ")
    both = cli("estimate", "--reps", "2", "--states", "warm", "--shapes", "monolith,microservices")
    assert both.stdout.startswith("12 deployments, about ")


def test_all_experiments_have_one_name() -> None:
    from probe.cli import _experiments
    from probe.experiments import DEFAULT, EXPERIMENTS

    assert _experiments("all") == tuple(EXPERIMENTS)
    assert _experiments("") == DEFAULT
    assert set(DEFAULT) < set(EXPERIMENTS)
