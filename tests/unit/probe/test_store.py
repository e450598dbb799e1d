"""A run's folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

import jsonschema
import pytest

import probe
from probe import store
from probe.errors import DamagedResults
from probe.records import Sample, Side, Timeline, TrialDone
from probe.report import write_report
from tests.support.probe_fakes import make_manifest, make_run, make_sample


def test_timelines_are_part_of_a_run(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", sides=(Side("docker", "microservices"),))
    key = "1-docker-microservices-warm"
    folder.write_raw(f"{key}{store.TIMELINES}", {"update": [(0.25, 0.01, ""), (0.3, 0, "EOF")]})
    folder.write_raw(f"2-docker-microservices-warm{store.TIMELINES}", ["no such thing"])
    run = store.read_run(tmp_path / "run")
    assert run.timelines == (Timeline(key, "update", ((0.25, 0.01, ""), (0.3, 0.0, "EOF"))),)
    assert any("2-docker-microservices-warm-timelines.json" in p for p in run.problems)
    page = write_report(tmp_path / "run", run).read_text(encoding="utf-8")
    assert "Every request around an update and a kill" in page
    assert json.dumps("seconds since the event") in page


SCHEMAS = Path(probe.__file__).parent / "schema"


def schema(name: str) -> jsonschema.Draft202012Validator:
    data = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(data)
    return jsonschema.Draft202012Validator(data)


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_run_is_what_its_schemas_say(tmp_path: Path) -> None:
    make_run(tmp_path / "r")
    for name, file in (("sample", store.SAMPLES), ("round", store.ROUNDS)):
        validator = schema(name)
        for record in lines(tmp_path / "r" / file):
            validator.validate(record)
    schema("manifest").validate(json.loads((tmp_path / "r" / store.MANIFEST).read_text()))


@pytest.mark.parametrize(
    "change",
    [
        {"value": None},
        {"outcome": "failed", "evidence": "why"},
        {"value": None, "outcome": "failed"},
        {"unit": "seconds"},
        {"round": 0},
        {"accelerator": "fast"},
        {"state": "tepid"},
    ],
)
def test_the_schema_refuses(change: dict[str, object]) -> None:
    record = {**make_sample().to_json(), **change}
    assert not schema("sample").is_valid(record)


def test_samples_survive_the_round_trip(tmp_path: Path) -> None:
    folder = store.RunFolder(tmp_path)
    folder.create(make_manifest())
    sample = make_sample(labels={"role": "own"}, evidence="línea\nsegunda")
    folder.finish_trial([sample], TrialDone("1-docker-monolith-warm", "ok", 3.0, 1))
    run = store.read_run(tmp_path)
    assert run.samples == (sample,)
    assert run.manifest == make_manifest()
    assert run.problems == ()


def test_a_half_written_line_spoils_no_other(tmp_path: Path) -> None:
    folder = make_run(tmp_path)
    before = len(store.read_run(tmp_path).samples)
    with (tmp_path / store.SAMPLES).open("a") as stream:
        stream.write('{"schema": 2, "run": "r1", "mod')
    folder.finish_trial([make_sample(round=9)], TrialDone("9-docker-monolith-warm", "ok", 1.0, 1))
    run = store.read_run(tmp_path)
    assert len(run.samples) == before + 1
    assert len(run.problems) == 1
    assert "half written" in run.problems[0]


def test_an_unfinished_round_is_left_out_and_named(tmp_path: Path) -> None:
    folder = make_run(tmp_path)
    before = store.read_run(tmp_path)
    store.append_lines(tmp_path / store.SAMPLES, [make_sample(round=9).to_json()])
    run = store.read_run(tmp_path)
    assert run.samples == before.samples
    assert run.problems == (
        "round 9-docker-monolith-warm did not finish: its 1 samples are left out",
    )
    assert folder.set_unfinished_aside() == 1
    assert store.read_run(tmp_path) == before
    assert lines(tmp_path / "raw" / "unfinished.jsonl")[0]["round"] == 9


def test_lost_samples_are_named(tmp_path: Path) -> None:
    make_run(tmp_path)
    path = tmp_path / store.SAMPLES
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    assert any("can be read" in p for p in store.read_run(tmp_path).problems)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "not a run's folder"),
        ("{", "cannot be read"),
        ("[]", "not a JSON object"),
        ('{"schema": 99}', "schema 99"),
        ('{"schema": 1}', "written with results schema 1, this probe reads 2"),
        ('{"schema": 2}', "incomplete"),
    ],
)
def test_a_damaged_manifest_is_one_clear_line(tmp_path: Path, text: str | None, words: str) -> None:
    if text is not None:
        (tmp_path / store.MANIFEST).write_text(text)
    with pytest.raises(DamagedResults, match=words) as caught:
        store.read_run(tmp_path)
    assert "\n" not in str(caught.value)


def test_samples_of_another_version_are_named(tmp_path: Path) -> None:
    make_run(tmp_path)
    store.append_lines(tmp_path / store.SAMPLES, [{**make_sample().to_json(), "schema": 1}])
    assert "schema 1, this probe reads 2" in store.read_run(tmp_path).problems[0]


def test_a_value_missing_from_a_good_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="without a value"):
        Sample.from_json(make_sample(value=None).to_json())


def test_a_claim_ends_with_its_process(tmp_path: Path) -> None:
    folder = store.RunFolder(tmp_path)
    assert not store.is_claimed(tmp_path)
    folder.claim()
    assert store.is_claimed(tmp_path)
    # The same pid, started at another time: the number was used again.
    # Another clone has results of its own; it must not take the run for a dead one.
    assert store.is_claimed(tmp_path / "elsewhere" / "results" / tmp_path.name)
    assert not store.is_claimed(tmp_path / "elsewhere" / "results" / "another")
    (store.CLAIMS / tmp_path.name).unlink()
    (tmp_path / store.OWNER).write_text(json.dumps({"pid": os.getpid(), "started": "1"}))
    assert not store.is_claimed(tmp_path)
    folder.claim()
    folder.release()
    assert not store.is_claimed(tmp_path)


def test_how_long_it_took_last_time_is_known(tmp_path: Path) -> None:
    like = make_manifest()
    for name, seconds, manifest in (
        ("1", 10.0, like),
        ("2", 20.0, like),
        # Another window, and other experiments: it took longer for that.
        ("3", 99.0, make_manifest(window_s=60.0)),
        ("4", 99.0, make_manifest(experiments=("readiness", "load"))),
    ):
        folder = store.RunFolder(tmp_path / name)
        folder.create(manifest)
        for number, more in enumerate((0.0, 1.0, 5.0), 1):
            key = f"{number}-docker-monolith-warm"
            folder.finish_trial([], TrialDone(key, "ok", seconds + more, 0))
        folder.finish_trial([], TrialDone("4-docker-monolith-warm", "failed", 900.0, 0))
    (tmp_path / "5").mkdir()
    (tmp_path / "5" / "manifest.json").write_text("{")
    found = store.history(tmp_path, like.experiments, like.settle_s, like.window_s)
    assert found == {"1-docker-monolith-warm": 20.0, "2-docker-monolith-warm": 23.0}
    assert store.history(tmp_path / "nowhere", like.experiments, 5.0, 20.0) == {}
