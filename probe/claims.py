"""The claims ledger: what is said of the models, and what this run's samples say of it.

The claims are data (``claims.toml``). A test looks at one metric. What is sampled gets a verdict
only if chance is an unlikely cause, judged over all claims together; what is counted is compared as
it is. Models are compared in the same shape of the shop alone: else a difference would be the
architecture's as much as the platform's.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from probe import stats, texts
from probe.language import current, t
from probe.summary import Column, Figure, Index, show

Verdict = Literal["holds", "does not hold", "inconclusive", "not tested"]

#: The level at which chance is ruled out, for all claims of a run together (Holm).
ALPHA: Final = 0.05
_FROZEN = ConfigDict(frozen=True, extra="forbid")


class _Test(BaseModel):
    model_config = _FROZEN

    experiment: str
    metric: str
    labels: dict[str, str] = {}
    state: Literal["cold", "warm"] = "warm"
    exact: bool = False
    speed: bool = False


class Less(_Test):
    """Left's figure is smaller than right's."""

    kind: Literal["less"]
    left: str
    right: str


class Bound(_Test):
    """A model's figure is below a limit, or not."""

    kind: Literal["below", "at_least"]
    model: str
    limit: float


class Claim(BaseModel):
    """One sentence that can be tested, in both languages, and what it rests on."""

    model_config = _FROZEN

    id: str
    en: str
    es: str
    experiments: tuple[str, ...]
    test: tuple[Annotated[Less | Bound, Field(discriminator="kind")], ...] = ()


class Quoted(BaseModel):
    """A figure that a verdict rests on: which samples, and their median over the deployments."""

    model_config = _FROZEN

    model: str
    shape: str
    state: str
    experiment: str
    metric: str
    labels: dict[str, str]
    median: float | None
    n_ok: int
    n_total: int


class Finding(BaseModel):
    """What a test found: the figures that it looked at, and how sure it is.

    ``p`` is the rank test's probability, ``adjusted`` the same for all claims together, ``effect``
    Cliff's delta (-1: all of left is smaller). None where no chance is involved.
    """

    model_config = _FROZEN

    verdict: Verdict
    text: str
    shape: str = ""
    figures: tuple[Quoted, ...] = ()
    p: float | None = None
    adjusted: float | None = None
    effect: float | None = None


class Ruling(BaseModel):
    """A claim with its verdict."""

    model_config = _FROZEN

    claim: Claim
    verdict: Verdict
    reason: str
    findings: tuple[Finding, ...] = ()


def ledger() -> tuple[Claim, ...]:
    """Return the claims in their order; raise ValueError for a ledger that cannot be read."""
    text = (resources.files("probe") / "claims.toml").read_text(encoding="utf-8")
    return tuple(Claim.model_validate(entry) for entry in tomllib.loads(text)["claim"])


def rule(index: Index, claims: Sequence[Claim] | None = None) -> list[Ruling]:
    """Return every claim's verdict by the samples of a run."""
    known = ledger() if claims is None else tuple(claims)
    open_ = {claim.id: _look_all(index, claim) for claim in known}
    sampled = [(id_, n) for id_, found in open_.items() for n, f in enumerate(found) if f.p]
    adjusted = stats.holm([open_[id_][n].p or 1.0 for id_, n in sampled])
    for (id_, n), p in zip(sampled, adjusted, strict=True):
        finding = open_[id_][n]
        sure = p < ALPHA
        verdict: Verdict = finding.verdict if sure else "inconclusive"
        open_[id_][n] = finding.model_copy(update={"adjusted": p, "verdict": verdict})
    return [_ruling(index, claim, tuple(open_[claim.id])) for claim in known]


def _ruling(index: Index, claim: Claim, findings: tuple[Finding, ...]) -> Ruling:
    measured = {s.experiment for s in index.samples}
    if not findings:
        missing = [name for name in claim.experiments if name not in measured]
        reason = (
            f"{t('not measured in this run')}: {', '.join(missing)}"
            if missing
            else t("this run has no samples that it could be told by")
        )
        return Ruling(claim=claim, verdict="not tested", reason=reason)
    verdicts = [finding.verdict for finding in findings]
    for verdict in ("does not hold", "not tested", "inconclusive", "holds"):
        if verdict in verdicts:
            chosen: Verdict = verdict
            break
    reason = "; ".join(dict.fromkeys(f.text for f in findings if f.verdict == chosen))
    return Ruling(claim=claim, verdict=chosen, reason=reason, findings=findings)


def _look_all(index: Index, claim: Claim) -> list[Finding]:
    """Return what all tests of a claim find: a part that was not measured is not passed over."""
    found = [_look(index, test) for test in claim.test]
    if not any(found):
        return []
    return [
        finding
        for test, findings in zip(claim.test, found, strict=True)
        for finding in (findings or [Finding(verdict="not tested", text=_missing(index, test))])
    ]


def _missing(index: Index, test: Less | Bound) -> str:
    """Return why there is nothing that a test could look at."""
    sides = (test.left, test.right) if isinstance(test, Less) else (test.model,)
    names = t(" and ").join(t(texts.MODELS.get(side, side)) for side in sides)
    reasons = dict.fromkeys(
        sample.evidence
        for sample in index.samples
        if sample.model in sides
        and (sample.experiment, sample.metric) == (test.experiment, test.metric)
        and sample.outcome != "ok"
        and test.labels.items() <= sample.labels.items()
    )
    why = "; ".join(reasons) or t("not measured in this run")
    return t("{figure} in {model}: {why}").format(figure=_name(test), model=names, why=why)


def _look(index: Index, test: Less | Bound) -> list[Finding]:
    """Return what a test finds, once for each shape in which it can be made."""
    sides = (test.left, test.right) if isinstance(test, Less) else (test.model,)
    found: list[Finding] = []
    columns = {
        (c.model, c.shape): c
        for c in index.columns
        if c.model in sides and c.state == test.state and _counted(index, c, test)
    }
    if not columns:
        return []
    if test.speed and any(column.emulated for column in columns.values()):
        return [Finding(verdict="not tested", text=t(texts.NOT_TESTED))]
    for shape in sorted({shape for _, shape in columns}):
        own = [columns[m, shape] for m in sides if (m, shape) in columns]
        if len(own) < len(sides):
            continue
        if isinstance(test, Less):
            finding = _less(index, test, own[0], own[1])
        else:
            finding = _bound(index, test, own[0])
        quoted = tuple(_quoted(test, column, _figure(index, column, test)) for column in own)
        found.append(finding.model_copy(update={"figures": quoted}))
    if not found:
        names = t(" and ").join(t(texts.MODELS.get(m, m)) for m in sides)
        text = f"{names} {t(texts.NO_SHAPE_IN_COMMON)}"
        return [Finding(verdict="not tested", text=text)]
    return found


def _counted(index: Index, column: Column, test: Less | Bound) -> bool:
    return bool(_figure(index, column, test).counted)


def _figure(index: Index, column: Column, test: Less | Bound) -> Figure:
    return index.figure(column, test.experiment, test.metric, test.labels)


def _quoted(test: Less | Bound, column: Column, figure: Figure) -> Quoted:
    return Quoted(
        model=column.model,
        shape=column.shape,
        state=column.state,
        experiment=test.experiment,
        metric=test.metric,
        labels=test.labels,
        median=figure.interval.median,
        n_ok=figure.interval.n_ok,
        n_total=figure.interval.n_total,
    )


def _less(index: Index, test: Less, left: Column, right: Column) -> Finding:
    one, other = _figure(index, left, test), _figure(index, right, test)
    a, b = one.per_round, other.per_round
    if not a or not b:
        text = _no_attempt(left if not a else right, test)
        return Finding(verdict="inconclusive", text=text, shape=left.shape)
    difference = stats.difference(a, b)
    verdict: Verdict = "holds" if difference.medians < 0 else "does not hold"
    text = t("{figure}: {one} in {left}, {other} in {right} ({shape})").format(
        figure=_name(test),
        one=show(one.interval.median, one.unit),
        left=t(texts.MODELS[test.left]),
        other=show(other.interval.median, other.unit),
        right=t(texts.MODELS[test.right]),
        shape=t(left.shape),
    )
    if test.exact:
        return Finding(verdict=verdict, text=text, shape=left.shape)
    if difference.low <= 0 <= difference.high:
        verdict = "inconclusive"
    if difference.smallest_p >= ALPHA:
        few = t("{one} and {other} rounds are too few to rule out chance")
        text += f"; {few.format(one=len(a), other=len(b))}"
    return Finding(
        verdict=verdict, text=text, shape=left.shape, p=difference.p, effect=difference.effect
    )


def _bound(index: Index, test: Bound, column: Column) -> Finding:
    figure = _figure(index, column, test)
    values = figure.per_round
    limit = show(test.limit, figure.unit)
    if not values:
        text = _no_attempt(column, test)
        return Finding(verdict="inconclusive", text=text, shape=column.shape)
    low = [v < test.limit for v in values]
    wanted = test.kind == "below"
    verdict: Verdict = "inconclusive"
    if all(v is wanted for v in low):
        verdict = "holds"
    elif not any(v is wanted for v in low):
        verdict = "does not hold"
    word = "on both sides of" if len(set(low)) > 1 else "below" if low[0] else "not below"
    text = t("{figure}: {value} in {model} ({shape}), {word} {limit}").format(
        figure=_name(test),
        value=show(figure.interval.median, figure.unit),
        model=t(texts.MODELS[test.model]),
        shape=t(column.shape),
        word=t(word),
        limit=limit,
    )
    if test.exact or verdict == "inconclusive":
        return Finding(verdict=verdict, text=text, shape=column.shape)
    # As likely above as below the limit, by chance: a sign test.
    return Finding(verdict=verdict, text=text, shape=column.shape, p=stats.sign_p(len(values)))


def _no_attempt(column: Column, test: Less | Bound) -> str:
    return f"{column.title}: {t('no attempt at {metric} succeeded').format(metric=test.metric)}"


def _name(test: Less | Bound) -> str:
    """Return what the table calls the figure that a test looks at."""
    for _, entries in texts.ROWS:
        for experiment, metric, labels, text in entries:
            if (experiment, metric, labels) == (test.experiment, test.metric, test.labels):
                return t(text).replace("`", "")
    return test.metric


def sentence(claim: Claim) -> str:
    """Return a claim in the language that is spoken."""
    return claim.es if current() == "es" else claim.en


def as_json(rulings: Sequence[Ruling]) -> list[Mapping[str, object]]:
    """Return the rulings as plain JSON values."""
    return [ruling.model_dump(mode="json", exclude={"claim": {"test"}}) for ruling in rulings]
