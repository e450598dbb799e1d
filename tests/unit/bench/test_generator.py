"""How late requests leave."""

from __future__ import annotations

import pytest

from bench import (
    generator,
)


def test_lateness_is_told_from_when_requests_should_have_left() -> None:
    punctual = [1.8e9 + n / 100 for n in range(1000)]
    assert generator.lateness(punctual, 100) == pytest.approx(0, abs=1e-5)
    # Two in a hundred leave 5 ms late: the 99th percentile shows it, whoever the first one was.
    late = [at + (0.005 if n % 50 == 0 else 0) for n, at in enumerate(punctual)]
    assert generator.lateness(late, 100) == pytest.approx(0.005, abs=1e-5)
