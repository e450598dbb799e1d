"""The shop as a compose file."""

from __future__ import annotations

import json
import re

from bench import (
    compose_side,
    material,
)
from shop import catalogue


def test_the_compose_file_has_the_stacks_hardening_and_no_secret() -> None:
    shop = catalogue.services("monolith")
    images = {s.image: f"registry/{s.image}:1" for s in shop}
    file = compose_side.render(shop, images, port=4711, releases={"monolith": "r"})
    assert set(file["services"]) == {s.name for s in shop}
    for service in shop:
        entry = file["services"][service.name]
        assert entry["read_only"] is True
        assert entry["cap_drop"] == ["ALL"]
        assert entry["user"] == f"{service.uid}:{service.uid}"
        assert entry["mem_limit"] == entry["memswap_limit"] == f"{service.limits.memory_mib}m"
        assert entry["cpus"] == service.limits.cpus
        assert {s["source"] for s in entry.get("secrets", [])} == {s.name for s in service.secrets}
        assert ("ports" in entry) == (service.name == "gateway")
    assert file["services"]["gateway"]["ports"] == ["127.0.0.1:4711:8443"]
    assert set(file["secrets"]) == set(material.make())
    text = json.dumps(file)
    assert not re.search(r"(?<!\$)\$(\$\$)*(?!\$)", text), "compose would fill in a variable"
    assert not any(content in text for content in material.make().values())


def test_only_what_is_the_shops_own_is_told_its_release() -> None:
    shop = catalogue.services("microservices")
    images = {s.image: f"registry/{s.image}:1" for s in shop}
    releases = {s.image: f"r-{s.image}" for s in shop}
    file = compose_side.render(shop, images, port=4711, releases=releases, project="p")
    told = {n: e["environment"].get("RELEASE") for n, e in file["services"].items()}
    own = set(images) - set(catalogue.SURROUNDINGS)
    assert told == {n: f"r-{n}" if n in own else None for n in images}
    assert {e["container_name"] for e in file["services"].values()} == {f"p-{n}" for n in images}
