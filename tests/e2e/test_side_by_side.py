"""The stack that has all models, each at an address of its own."""

from __future__ import annotations

import pytest

from shop import catalogue
from tests.support.stacks import READY_TIMEOUT_S, Shop, Stack, Stacks

pytestmark = pytest.mark.e2e


def test_all_models_side_by_side(stacks: Stacks) -> None:
    """One `up`, three shops, each at its own address; one `destroy`, and nothing is left.

    A stack of its own: what is seen is that one engine makes them together. All have one shape, the
    one that a machine is not given unless asked: an emulated one is seen with it here alone.
    """
    models = tuple(catalogue.MODELS)
    stack = stacks.make("dev", shape="microservices")
    stack.up()
    outputs = stack.outputs()
    shops = {model: Shop(outputs[model]) for model in models}
    assert len({shop.outputs["storefront_url"] for shop in shops.values()}) == len(models)
    for model, shop in shops.items():
        assert shop.outputs["shape"] == "microservices"
        shop.wait_until_ready(READY_TIMEOUT_S[model])
        assert shop.buy(shop.register())["status"] == "paid"
    stack.preview("--expect-no-changes")
    stack.destroy()
    for model in models:
        assert Stack(model, f"{stack.name}-{model}", stack.environment).leftovers() == []
