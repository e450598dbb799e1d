"""Values on the wire."""

from __future__ import annotations

from plugins.bridge import UNKNOWN
from plugins.bridge.values import Secret, from_struct, to_struct


def test_values_survive_the_wire() -> None:
    values = {"i": 5, "f": 0.5, "b": True, "n": None, "l": [1, "x"], "o": {"k": UNKNOWN}}
    assert from_struct(to_struct(values)) == values
    secret = to_struct({"s": Secret({"k": "v"})})
    assert secret.fields["s"].struct_value.fields["value"].struct_value.fields["k"].string_value
    assert from_struct(secret) == {"s": {"k": "v"}}
