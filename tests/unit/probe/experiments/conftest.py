"""Experiments with a made-up model and customers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from probe import models
from probe.experiments import balancing, elasticity, persistence, rollout
from probe.records import Sample
from tests.support.experiment_fakes import Attack, Inspector
from tests.support.probe_fakes import make_context, target


@pytest.fixture
def measure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., list[Sample]]:
    """Return what measures with an experiment in a model whose inspector is this one."""
    for module in (elasticity, balancing, rollout):
        monkeypatch.setattr(module, "Attack", Attack)

    def run(experiment: Any, inspector: Inspector, **changes: Any) -> list[Sample]:
        monkeypatch.setattr(models, "inspector", lambda _target: inspector)
        context = make_context(
            tmp_path,
            model=inspector.model,
            **{"target": target(inspector.model, {}), **changes},
        )
        return list(experiment.measure(context))

    return run


@pytest.fixture
def customers(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a shop that loses the orders named, and that is away for some questions."""

    class Customers:
        lost: frozenset[str] = frozenset()
        cart_items = 1
        away = 0
        refusals = 0

        def __init__(self, *_args: Any) -> None:
            pass

        def enroll(self) -> str:
            if Customers.refusals:
                Customers.refusals -= 1
                raise httpx.ConnectError("not yet")
            return "token"

        def order(self, _token: str, product: int) -> str:
            return str(product)

        def fill(self, _token: str, _product: int) -> None:
            pass

        def orders(self, _token: str) -> set[str]:
            if Customers.away:
                Customers.away -= 1
                raise httpx.ConnectError("refused")
            return {str(n) for n in range(11, 16)} - Customers.lost

        def cart(self, _token: str) -> int:
            return Customers.cart_items

        def close(self) -> None:
            pass

    monkeypatch.setattr(persistence, "Customers", Customers)
    monkeypatch.setattr(rollout, "Customers", Customers)
    for module in (persistence, rollout):
        monkeypatch.setattr(module, "checked_context", lambda _ca: None)
        monkeypatch.setattr(module, "await_ready", lambda *_where, **_how: "")
    return Customers
