"""What the registry has of an image."""

from __future__ import annotations

import pytest

from tests.support.image_registry import DIGEST
from toolchain.artefacts import registry
from toolchain.steps import StepError


@pytest.mark.usefixtures("a_registry")
def test_what_ships_and_what_it_unpacks_to_is_as_the_registry_has_it() -> None:
    found = registry.manifest("gateway", "0123")
    assert found is not None
    assert (found.digest, found.image_id) == (DIGEST, "sha256:config")
    assert found.shipped_bytes == 1110
    assert registry.unpacked_bytes("gateway", found.layers) == 3000
    for broken in ("sha256:cut", "sha256:gone"):
        with pytest.raises(StepError, match="layer of gateway"):
            registry.unpacked_bytes("gateway", (broken,))


def test_a_registry_that_does_not_answer_has_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "REGISTRY_PORT", 1)
    assert registry.manifest("gateway", "0123") is None
