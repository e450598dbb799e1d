"""What holds for every model's stack, and that the models agree."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator

import pulumi
import pytest
from pulumi.runtime import rpc

from shop import catalogue
from shop.model import Service
from tests.support.pulumi_mocks import CLUSTER, SECRET_VALUES, STRIPE_KEY, Build, Deployed
from tests.support.stack_resources import cloud_config, service_containers

MODELS = ("docker", "kubernetes", "vm")
COMPONENTS = {
    "platform": "Platform",
    "datastore": "Datastore",
    "workload": "Workload",
    "gateway": "Gateway",
}
SIDES = [(model, shape) for model in MODELS for shape in catalogue.SHAPES]


def part_of(name: str) -> str:
    """Return the component that has a service."""
    if name in catalogue.DATASTORES:
        return "datastore"
    return "gateway" if name == catalogue.GATEWAY else "workload"


class TestEveryModel:
    @pytest.mark.parametrize(("model", "shape"), SIDES)
    def test_tokens_are_fixed(self, built: Build, model: str, shape: str) -> None:
        components = {r.typ: r.name for r in built(model, shape).resources.values() if not r.custom}
        expected = {f"shop:{model}:{c}": m for m, c in COMPONENTS.items()}
        if model == "vm":
            expected["shop:vm:Machine"] = "machine"
        assert {t: n for t, n in components.items() if t.startswith("shop:")} == expected

    @pytest.mark.parametrize(("model", "shape"), SIDES)
    def test_children_belong_to_their_component(self, built: Build, model: str, shape: str) -> None:
        deployed = built(model, shape)
        top = {"triptych-unit", ""}
        for resource in deployed.resources.values():
            kind = resource.typ.partition("/")[0].partition(":")[0]
            own_provider = resource.typ == "pulumi:providers:kubernetes"
            if (
                kind in ("docker", "kubernetes", "libvirt")
                or resource.typ == CLUSTER
                or own_provider
            ):
                assert resource.parent_name in {*COMPONENTS, "machine"}, resource.name
                # Rule: a child's name starts with its component's.
                assert resource.name.startswith(resource.parent_name), resource.name
            else:
                assert resource.parent_name in top, resource.name

    @pytest.mark.parametrize(("model", "shape"), SIDES)
    def test_fixed_names_are_deleted_before_they_are_replaced(
        self, built: Build, model: str, shape: str
    ) -> None:
        for resource in built(model, shape).resources.values():
            named = resource.inputs.get("name") and not resource.typ.endswith(":RemoteImage")
            if named and ":index/" in resource.typ:
                assert resource.delete_before_replace, resource.name

    @pytest.mark.parametrize(("model", "shape"), SIDES)
    def test_all_names_carry_the_prefix(self, built: Build, model: str, shape: str) -> None:
        for resource in built(model, shape).resources.values():
            if ":index/" in resource.typ and not resource.typ.endswith(":RemoteImage"):
                assert resource.inputs["name"].startswith("triptych-unit"), resource.name

    @pytest.mark.parametrize(("model", "shape"), SIDES)
    def test_components_register_their_public_outputs(
        self, built: Build, model: str, shape: str
    ) -> None:
        deployed = built(model, shape)
        for module_name, class_name in COMPONENTS.items():
            module = importlib.import_module(f"components.{model}.{module_name}")
            cls = getattr(module, class_name)
            declared = set(cls.__annotations__)
            assert set(deployed.registered_outputs[module_name]) == declared, class_name

    @pytest.mark.parametrize(("model", "shape"), SIDES)
    def test_no_secret_is_a_plain_input(self, built: Build, model: str, shape: str) -> None:
        for resource in built(model, shape).resources.values():
            secrets = [*SECRET_VALUES.values(), STRIPE_KEY]
            for path, value in _leaves(resource.inputs):
                if isinstance(value, str) and any(s in value for s in secrets):
                    covered = any(path == p or path.startswith(p) for p in resource.secret_inputs)
                    assert covered, f"{resource.name}: {path}"

    @pytest.mark.parametrize(("model", "shape"), SIDES)
    def test_outputs_hold_no_secret(self, built: Build, model: str, shape: str) -> None:
        text = json.dumps(built(model, shape).outputs)
        for secret in (*SECRET_VALUES.values(), STRIPE_KEY):
            assert secret not in text

    @pytest.mark.parametrize(("model", "shape"), SIDES)
    def test_a_preview_registers_the_same_with_unknowns(
        self, built: Build, model: str, shape: str
    ) -> None:
        preview = built(model, shape, preview=True)
        known = built(model, shape).resources.keys() | {"triptych-unit"}
        assert preview.resources.keys() | {"triptych-unit"} == known
        # What is known without any daemon is known in a preview already.
        assert not {"model", "shape", "storefront_url", "endpoints", "prefix"} & preview.unknown

    @pytest.mark.parametrize(("model", "shape"), SIDES)
    def test_leftovers_of_killed_runs_are_looked_for(
        self, built: Build, model: str, shape: str
    ) -> None:
        deployed = built(model, shape)
        kinds = {
            "docker": ("Container", "Network"),
            "kubernetes": ("Cluster", "Container", "Network"),
            "vm": ("Domain", "Network", "Pool"),
        }[model]
        for kind in kinds:
            assert all(len(r.hooks) == 1 for r in deployed.of(kind)), kind

    @pytest.mark.parametrize(("model", "shape"), SIDES)
    def test_volumes_with_data_come_after_the_password(
        self, built: Build, model: str, shape: str
    ) -> None:
        order = list(built(model, shape).resources)
        assert order.index("credentials") < order.index("datastore")
        for name in order:
            if name.startswith("datastore-"):
                assert order.index("datastore") < order.index(name)


class TestParity:
    def test_same_outputs(self, docker: Deployed, kubernetes: Deployed, vm: Deployed) -> None:
        for other in (kubernetes, vm):
            assert list(docker.outputs) == list(other.outputs)
            for key in ("endpoints", "readiness_probe", "limits"):
                assert set(docker.outputs[key]) == set(other.outputs[key]), key

    @pytest.mark.parametrize(("module_name", "class_name"), COMPONENTS.items())
    def test_same_modules_classes_and_outputs(self, module_name: str, class_name: str) -> None:
        modules = [importlib.import_module(f"components.{m}.{module_name}") for m in MODELS]
        classes = [getattr(module, class_name) for module in modules]
        for cls in classes:
            assert cls.__annotations__ == classes[0].__annotations__
            assert issubclass(cls, pulumi.ComponentResource)

    @pytest.mark.parametrize(
        ("module_name", "class_name"), [c for c in COMPONENTS.items() if c[0] != "platform"]
    )
    def test_same_arguments(self, module_name: str, class_name: str) -> None:
        modules = [importlib.import_module(f"components.{m}.{module_name}") for m in MODELS]
        fields = [list(getattr(m, f"{class_name}Args").__dataclass_fields__) for m in modules]
        assert fields[0] == fields[1] == fields[2]

    def test_instances_cover_every_service(
        self, docker: Deployed, kubernetes: Deployed, vm: Deployed, services: dict[str, Service]
    ) -> None:
        for deployed in (docker, kubernetes, vm):
            names = set()
            for component in ("datastore", "workload", "gateway"):
                names |= set(deployed.registered_outputs[component]["instances"])
            assert names == set(services)

    def test_all_tell_each_service_the_same_release(
        self, docker: Deployed, kubernetes: Deployed, vm: Deployed, services: dict[str, Service]
    ) -> None:
        files = {f["path"]: f["content"] for f in cloud_config(vm)["write_files"]}
        for name in services:
            release = f"re1ea5e-{name}"
            own = name not in catalogue.SURROUNDINGS
            told = {e for e in service_containers(docker)[name].inputs["envs"] if "RELEASE" in e}
            assert told == ({f"RELEASE={release}"} if own else set())
            config = kubernetes.resources.get(f"{part_of(name)}-{name}-env")
            data = config.inputs["data"] if config else {}
            assert data.get("RELEASE") == (release if own else None)
            assert (f'RELEASE="{release}"' in files.get(f"/etc/triptych/env/{name}", "")) == own

    @pytest.mark.parametrize("shape", sorted(catalogue.SHAPES))
    def test_all_tell_one_service_the_same_known_costs(
        self, build_stack: Build, shape: str
    ) -> None:
        cost = "held_mib=200 dead_s=2"
        (name,) = {s.name for s in catalogue.services(shape)} & {*catalogue.KNOWN_COSTS_TAKEN_BY}
        docker, kubernetes, vm = (
            build_stack(model, shape=shape, known_costs=cost) for model in MODELS
        )
        for service, container in service_containers(docker).items():
            told = f"KNOWN_COSTS={cost}" in container.inputs["envs"]
            assert told == (service == name)
        config = kubernetes.resources[f"workload-{name}-env"]
        assert config.inputs["data"]["KNOWN_COSTS"] == cost
        files = {f["path"]: f["content"] for f in cloud_config(vm)["write_files"]}
        assert [path for path, text in files.items() if f'KNOWN_COSTS="{cost}"' in text] == [
            f"/etc/triptych/env/{name}"
        ]


def _leaves(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{path}[{index}]")
    elif value is not rpc.UNKNOWN:
        yield path, value
