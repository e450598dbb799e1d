"""All models in one stack."""

from __future__ import annotations

import pytest

from shop import catalogue
from tests.support.pulumi_mocks import Build, Deployed


class TestDev:
    @pytest.fixture
    def dev(self, built: Build) -> Deployed:
        return built("dev", "")

    def test_outputs_are_nested_by_model(self, dev: Deployed, built: Build) -> None:
        assert set(dev.outputs) == {"model", *catalogue.MODELS}
        for model, usual in catalogue.MODELS.items():
            alone = built(model, usual)
            assert list(dev.outputs[model]) == list(alone.outputs)
            assert dev.outputs[model]["prefix"] == f"triptych-unit-{model}"
            assert dev.outputs[model]["shape"] == usual

    def test_each_at_its_own_address(self, dev: Deployed) -> None:
        urls = [dev.outputs[model]["storefront_url"] for model in catalogue.MODELS]
        assert sorted(urls) == [
            "https://10.99.0.10:8443",
            "https://127.0.0.1:18443",
            "https://127.0.0.1:18444",
        ]

    def test_it_is_the_three_stacks_and_nothing_else(self, dev: Deployed, built: Build) -> None:
        expected = set()
        for model, usual in catalogue.MODELS.items():
            alone = built(model, usual).resources
            expected |= {f"{model}-{n}" for n, r in alone.items() if r.parent}
        assert {n for n, r in dev.resources.items() if r.parent} == expected

    def test_names_in_daemons_are_each_its_own(self, dev: Deployed) -> None:
        names = [
            (r.typ, r.inputs["name"])
            for r in dev.resources.values()
            if ":index/" in r.typ and not r.typ.endswith(":RemoteImage")
        ]
        assert len(names) == len(set(names))
        for model in catalogue.MODELS:
            own = f"triptych-unit-{model}"
            assert any(name.startswith(own) for _, name in names)

    def test_leftovers_are_each_models_own_business(self, dev: Deployed) -> None:
        hooked = [r for r in dev.resources.values() if r.hooks]
        assert hooked
        for resource in hooked:
            (hook,) = resource.hooks
            assert hook.partition("-")[0] == resource.name.partition("-")[0]
