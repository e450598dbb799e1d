"""Which images a cluster gets."""

from __future__ import annotations

from typing import Any

from bench import (
    clusters,
)


def test_only_the_shops_own_images_are_loaded() -> None:
    def pod(image: str) -> dict[str, Any]:
        return {"spec": {"template": {"spec": {"containers": [{"image": image}]}}}}

    artefacts = {"images": {"auth": {"ref": "r:1/auth:2"}}}
    objects = [pod("r:1/auth:2"), pod("local/coredns:1"), {"kind": "Service"}]
    assert clusters.images_of(objects, artefacts) == ["r:1/auth:2"]
