"""The artefacts' index."""

from __future__ import annotations

import json
from pathlib import Path

import pulumi
import pytest

from stacks import parts
from stacks.artefacts import Artefacts, ArtefactsError


class TestArtefacts:
    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(ArtefactsError, match=r"nothing is built yet.*make build"):
            Artefacts.load(tmp_path / "none.json")

    @pytest.mark.parametrize("text", ["{", "[]", '{"schema": 1}', '{"schema": 2, "guests": {}}x'])
    def test_not_usable(self, tmp_path: Path, text: str) -> None:
        file = tmp_path / "artefacts.json"
        file.write_text(text)
        with pytest.raises(ArtefactsError, match=r"not usable .*make build") as caught:
            Artefacts.load(file)
        assert "\n" not in str(caught.value)

    def test_half_built(self, tmp_path: Path) -> None:
        file = tmp_path / "artefacts.json"
        file.write_text(json.dumps({"schema": 2, "images": {}, "guests": {}}))
        artefacts = Artefacts.load(file)
        with pytest.raises(ArtefactsError, match=r'image "gateway" is not built'):
            artefacts.image("gateway")
        with pytest.raises(ArtefactsError, match=r"image of the Kubernetes node is not built"):
            artefacts.require_node()
        with pytest.raises(ArtefactsError, match=r'shape "monolith" is not built'):
            artefacts.require_guest("monolith")

    def test_changed_sources_are_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        warnings: list[str] = []
        monkeypatch.setattr(pulumi.log, "warn", warnings.append)
        sources = {"monolith": "old", "gateway": "same", "guest-monolith": "old"}
        artefacts = Artefacts(sources=sources, images={}, guests={})
        monkeypatch.setattr(
            "toolchain.artefacts.keys.source_keys",
            lambda _root: {"monolith": "new", "gateway": "same", "guest-monolith": "new"},
        )
        parts.warn_if_outdated(artefacts, ("monolith", "gateway"))
        assert len(warnings) == 1
        assert "changed since it was built: monolith;" in warnings[0]
        parts.warn_if_outdated(artefacts, ("gateway",))
        assert len(warnings) == 1
