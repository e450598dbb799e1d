"""Medians with bootstrap intervals over the good samples, failures counted beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

#: Resamples of a bootstrap interval.
RESAMPLES: Final = 10_000
#: The level of every interval that is printed.
CONFIDENCE: Final = 0.95
#: Fewer points than this give no interval: it would be the range of what was seen.
SMALLEST_N: Final = 3


@dataclass(frozen=True, slots=True)
class Interval:
    """A median with its bootstrap interval; the bounds are None when there are too few points."""

    median: float | None
    low: float | None
    high: float | None
    smallest: float | None
    largest: float | None
    n_ok: int
    n_total: int

    @property
    def count(self) -> str:
        """Return ``n_ok/n_total``, which stands beside every figure."""
        return f"{self.n_ok}/{self.n_total}"


def describe(values: Sequence[float | None], *, seed: int = 0) -> Interval:
    """Return the median of the values and its 95 % percentile-bootstrap interval.

    None stands for a failed sample: it lowers ``n_ok`` and never vanishes. The resampling is
    seeded, so that the same samples always give the same report.
    """
    good = np.array([v for v in values if v is not None], dtype=float)
    if good.size == 0:
        return Interval(None, None, None, None, None, 0, len(values))
    median = float(np.median(good))
    low = high = None
    if good.size >= SMALLEST_N:
        low, high = bootstrap_median(good, seed=seed)
    return Interval(
        median, low, high, float(good.min()), float(good.max()), int(good.size), len(values)
    )


def bootstrap_median(values: Sequence[float] | np.ndarray, *, seed: int = 0) -> tuple[float, float]:
    """Return the percentile-bootstrap interval of the median."""
    from scipy import stats  # imported late: it is slow to load and the probe's start is timed

    data = np.asarray(values, dtype=float)
    if np.ptp(data) == 0:  # scipy warns about a degenerate distribution; the answer is plain
        return float(data[0]), float(data[0])
    result = stats.bootstrap(
        (data,),
        np.median,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


@dataclass(frozen=True, slots=True)
class Difference:
    """What tells two samples apart.

    ``medians`` is left's median less right's, ``low`` and ``high`` its bootstrap interval, ``p``
    the two-sided rank test's probability (Mann-Whitney), ``effect`` Cliff's delta: the share of
    pairs in which left is larger less the share in which it is smaller. ``smallest_p`` is what the
    test could give at best with so many points.
    """

    medians: float
    low: float
    high: float
    p: float
    effect: float
    smallest_p: float


def difference(
    left: Sequence[float], right: Sequence[float], *, seed: int = 0, resamples: int = RESAMPLES
) -> Difference:
    """Return what tells two samples apart; neither may be empty."""
    from scipy import special, stats

    a, b = np.asarray(left, dtype=float), np.asarray(right, dtype=float)
    rng = np.random.default_rng(seed)
    drawn = np.median(rng.choice(a, (resamples, a.size)), axis=1)
    drawn -= np.median(rng.choice(b, (resamples, b.size)), axis=1)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    if a.size > 1 and b.size > 1 and np.ptp(np.concatenate([a, b])) > 0:
        p = float(stats.mannwhitneyu(a, b, alternative="two-sided", method="auto").pvalue)
    else:
        p = 1.0
    signs = np.sign(a[:, None] - b[None, :])
    return Difference(
        medians=float(np.median(a) - np.median(b)),
        low=float(low),
        high=float(high),
        p=p,
        effect=float(signs.mean()),
        smallest_p=min(1.0, 2 / float(special.comb(a.size + b.size, a.size))),
    )


def sign_p(n: int) -> float:
    """Return how likely it is that n values are all on one side of their true median."""
    return min(1.0, 2 * 0.5**n)


def holm(values: Sequence[float]) -> list[float]:
    """Return probabilities adjusted for their number (Holm), in the same order."""
    order = sorted(range(len(values)), key=lambda i: values[i])
    adjusted = [1.0] * len(values)
    highest = 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, values[i] * (len(values) - rank)))
        adjusted[i] = highest
    return adjusted
