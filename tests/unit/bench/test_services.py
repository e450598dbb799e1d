"""Services beside their bare handlers."""

from __future__ import annotations

from bench import (
    run,
    services,
)
from shop import catalogue


def test_a_bare_handler_has_its_services_settings_and_another_image() -> None:
    images = {s.image: f"registry/{s.image}:1" for s in catalogue.services("microservices")}
    file = services.compose_file(images, {"cart": "registry/bench-cart:2"}, {}, 4711)
    ours, theirs = file["services"]["cart"], file["services"]["cart-bare"]
    assert theirs["image"] == "registry/bench-cart:2"
    assert theirs["container_name"].startswith("triptych-bench-")
    assert "command" not in theirs
    for key in ("environment", "user", "cpus", "mem_limit", "read_only", "cap_drop"):
        assert theirs[key] == ours[key], key
    assert "auth-bare" not in file["services"]


def test_every_service_of_the_shops_own_has_a_hot_request() -> None:
    own = {s.name for s in catalogue.services(services.SHAPE)} - set(catalogue.SURROUNDINGS)
    assert set(services.HOT) == own
    assert set(services.FIGURES) <= set(run.NAMES)
