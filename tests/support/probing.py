"""The probe's command line, as a user has it, and what its runs leave."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

import docker
import jsonschema
import libvirt
import pytest

import probe
from probe import store
from probe.records import Sample, Trial
from shop import catalogue
from tests.support import ROOT, record

#: The deployments that tests/e2e/test_probe.py compares; all others are measured as they are up.
COMPARED = (("docker", "microservices"), ("kubernetes", "monolith"), ("vm", "monolith"))
SCHEMA = json.loads((Path(probe.__file__).parent / "schema" / "sample.schema.json").read_text())


def command(*words: str) -> list[str]:
    """Return the probe's command line."""
    return [sys.executable, "-m", "probe", *words]


def run_probe(
    *words: str, timeout_s: float, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the probe to its end."""
    return subprocess.run(
        command(*words),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
        env={**os.environ, "COLUMNS": "160", **environment},
    )


def run_name(output: str) -> str:
    """Return the name of the run that `compare` says."""
    return output.split("run ", 1)[1].split(":", 1)[0].strip()


def measured_run(output: str) -> str:
    """Return the name of the run whose report `measure` says."""
    return output.rsplit("results/", 1)[1].split("/", 1)[0]


def left_behind(run: str) -> list[str]:
    """Return everything in the daemons and on disk that still carries the run's name."""
    prefix = f"triptych-cmp-{run}"
    client = docker.from_env()
    names = [str(c.name) for c in client.containers.list(all=True, ignore_removed=True)]
    names += [str(n.name) for n in client.networks.list()]
    names += [str(v.name) for v in client.volumes.list()]
    client.close()
    connection = libvirt.open("qemu:///system")
    names += [d.name() for d in connection.listAllDomains()]
    names += [n.name() for n in connection.listAllNetworks()]
    names += [p.name() for p in connection.listAllStoragePools()]
    connection.close()
    found = [name for name in names if name.startswith(prefix)]
    found += [p.name for p in ROOT.glob(f"Pulumi.cmp-{run}*")]
    found += [p.name for p in (ROOT / ".triptych" / "kubeconfig").glob(f"{prefix}*")]
    return found


class Runs:
    """Names of runs: what they deployed is counted in the end, and their folders are removed."""

    def __init__(self, by: str) -> None:
        self._by = by
        self._names: list[str] = []

    def append(self, run: str) -> None:
        """Take over a run."""
        self._names.append(run)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for run in self._names:
            folder = ROOT / "results" / run
            for key in store.read_run(folder).done if folder.is_dir() else ():
                trial = Trial.parse(key)
                if trial.state != "up":
                    record.deployed(trial.model, trial.shape, self._by)
            shutil.rmtree(folder, ignore_errors=True)


def values(samples: Iterable[Sample]) -> dict[str, float]:
    """Return the values by metric."""
    return {s.metric: s.value for s in samples if s.value is not None}


def assert_is_whole(folder: Path, model: str, shape: str) -> tuple[Sample, ...]:
    """Return a run's samples, which are valid, none of them failed."""
    validator = jsonschema.Draft202012Validator(SCHEMA)
    for line in (folder / store.SAMPLES).read_text().splitlines():
        validator.validate(json.loads(line))
    found = store.read_run(folder)
    assert found.problems == ()
    assert not [s for s in found.samples if s.outcome == "failed"]
    assert {(s.model, s.shape) for s in found.samples} == {(model, shape)}
    return found.samples


def assert_memory_adds_up(samples: tuple[Sample, ...], model: str, shape: str) -> None:
    """Check the figures that only need a living stack."""
    pss = {s.labels["role"]: s.value for s in samples if s.metric == "memory_pss_bytes"}
    assert pss["workload"] is not None
    assert pss["workload"] > 50 * 2**20
    assert pss["own"] == pytest.approx((pss["workload"] or 0) + (pss["helpers"] or 0))
    accelerators = {s.accelerator for s in samples}
    assert accelerators <= {"kvm", "tcg"} if model == "vm" else accelerators == {"none"}
    if model == "kubernetes":
        shares = {
            (s.labels["scope"], s.labels["part"]): s.value
            for s in samples
            if s.metric == "share_memory_bytes"
        }
        assert (shares["platform", "control plane"] or 0) > 100 * 2**20
        assert {part for scope, part in shares if scope == "application"} == {
            "total",
            *(service.name for service in catalogue.services(shape)),
        }
    if model == "vm":
        assert values(samples)["memory_guest_used_bytes"] < 1024**3


def assert_page_names_the_accelerator(folder: Path, samples: tuple[Sample, ...]) -> None:
    """Check that the page says of an emulated machine that it is one, and of nothing else."""
    page = (folder / "report.html").read_text()
    assert ("emulated (TCG)" in page) == ({s.accelerator for s in samples} == {"tcg"})


def updates(samples: Iterable[Sample]) -> dict[str, float | None]:
    """Return how many requests failed in an update and in its rollback."""
    metric = "update_failed_requests"
    return {s.labels["direction"]: s.value for s in samples if s.metric == metric}


def overlaps(samples: Iterable[Sample]) -> list[float | None]:
    """Return for how long old and new processes both answered, in each of the two."""
    return [s.value for s in samples if s.metric == "update_overlap_s"]
