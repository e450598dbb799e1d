"""Add-ons as resources."""

from __future__ import annotations

import pytest

from components.kubernetes import addons


@pytest.mark.parametrize(
    ("version", "kind", "token"),
    [
        ("v1", "Service", "kubernetes:core/v1:Service"),
        ("apps/v1", "Deployment", "kubernetes:apps/v1:Deployment"),
    ],
)
def test_tokens(version: str, kind: str, token: str) -> None:
    assert addons.token({"apiVersion": version, "kind": kind}) == token
