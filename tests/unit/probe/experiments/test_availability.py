"""What a kill does, and who repairs it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from probe import models
from probe.errors import ProbeError
from probe.experiments import availability
from probe.experiments.availability import Availability
from probe.models.base import Kill
from probe.vegeta import Answer
from tests.support.probe_fakes import answers, make_context, target


@pytest.fixture
def struck(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Return a function that measures with one kill and these answers before it and around it."""

    def measure(pattern: str, strike: Any = lambda: None, before: str = "." * 20) -> list[Any]:
        told = [pattern, *[before] * availability.SETTLES]

        class Attack:
            def __init__(self, *_args: Any, **_more: Any) -> None:
                self.began = time.time() - 0.35

            def stop(self) -> list[Answer]:
                now = told.pop()
                if "x" not in now:
                    del told[1:]
                return answers(now, began=self.began)

        class Inspector:
            def kills(self, service: str) -> tuple[Kill, ...]:
                assert service == "monolith"
                return (Kill("process", "it", strike, "dockerd's restart policy"),)

            def close(self) -> None:
                pass

        monkeypatch.setattr(availability, "Attack", Attack)
        monkeypatch.setattr(models, "inspector", lambda _target: Inspector())
        context = make_context(tmp_path, target=target("docker", {}))
        return Availability().measure(context)

    return measure


def test_who_repaired_it_is_said(struck: Any) -> None:
    samples = {s.metric: s for s in struck("...." + "xx" + "." * 30)}
    assert samples["recovery_s"].evidence == ("killed: it; repaired by: dockerd's restart policy")
    assert samples["failed_requests"].value == 2


def test_what_nobody_repairs_is_a_failed_sample(struck: Any) -> None:
    samples = {s.metric: s for s in struck("...." + "x" * 30)}
    assert samples["recovery_s"].outcome == "failed"
    assert "repaired by: nobody within 45 s" in samples["recovery_s"].evidence


def test_a_shop_that_was_late_before_the_kill_is_said_to_be(struck: Any) -> None:
    late = "not all answers came within 1 s before the kill either"
    assert all(late in s.evidence for s in struck("." * 30, before=".x"))
    assert not any(late in s.evidence for s in struck("." * 30))


def test_a_shop_that_did_not_answer_before_is_no_outage(struck: Any) -> None:
    (sample,) = struck("x" * 30)
    assert "did not answer before" in sample.evidence


def test_nothing_is_killed_before_all_is_answered_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told = iter(("..x.", "....", "." * 40))
    struck: list[str] = []

    class Attack:
        def __init__(self, *_args: Any, **_more: Any) -> None:
            assert not struck
            self.answers = answers(next(told), began=time.time() - 0.35)

        def stop(self) -> list[Answer]:
            return self.answers

    monkeypatch.setattr(availability, "Attack", Attack)
    kill = Kill("process", "it", lambda: struck.append("it"), "somebody")
    context = make_context(tmp_path, target=target("docker", {}))
    assert context.target is not None
    Availability()._strike(context, context.target, kill)
    assert struck == ["it"]
    assert next(told, None) is None


def test_what_can_not_be_killed_is_said(struck: Any) -> None:
    def strike() -> None:
        raise ProbeError("there is no process to kill")

    (sample,) = struck("." * 30, strike)
    assert (sample.outcome, sample.evidence) == ("failed", "there is no process to kill")
