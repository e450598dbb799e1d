"""Attempts from inside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from probe.experiments.isolation import Isolation, neighbours
from probe.records import Sample
from shop import catalogue
from tests.support.experiment_fakes import Inspector, figures


def test_attempts_are_counted_with_and_without_hardening(
    measure: Callable[..., list[Sample]],
) -> None:
    samples = measure(Isolation(), Inspector("docker"))
    found = figures(samples, "hardening", "attempt")
    assert found["kernel_shared", "", ""] == 0
    assert found["attempt_open", "on", "mount"] == 0
    assert found["attempt_open", "off", "mount"] == 1
    assert found["attempts_open", "on", ""] == 1
    assert found["attempts_open", "off", ""] == 2
    # The kernel is another one than the host's: what it gives is its own.
    assert found["host_kernel_attempts_open", "off", ""] == 0


def test_what_a_shared_kernel_gives_is_the_hosts(measure: Callable[..., list[Sample]]) -> None:
    inspector = Inspector("docker")
    inspector.boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    samples = measure(Isolation(), inspector)
    found = figures(samples, "hardening")
    assert found["host_kernel_attempts_open", "on"] == 0
    assert found["host_kernel_attempts_open", "off"] == 1
    seen = {s.labels["hardening"]: s.evidence for s in samples if "host_kernel" in s.metric}
    assert seen == {"on": "none", "off": "mount"}


def test_a_kernel_with_the_hosts_boot_id_is_shared(
    measure: Callable[..., list[Sample]],
) -> None:
    inspector = Inspector("kubernetes")
    inspector.boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    samples = measure(Isolation(), inspector)
    assert samples[0].value == 1
    (last,) = [s for s in samples if s.labels.get("hardening") == "off"]
    assert (last.outcome, last.evidence) == (
        "not_measured",
        "no pod without hardening is admitted",
    )


@pytest.mark.parametrize("shape", catalogue.SHAPES)
def test_a_neighbour_is_one_that_is_not_needed(shape: str) -> None:
    name = {"microservices": "products", "monolith": "monolith"}[shape]
    own, other = neighbours(shape, name)
    assert own.name == name != other.name
    assert other.name not in own.needs
