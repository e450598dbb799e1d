"""Differences, field by field."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.bridge import UNKNOWN
from plugins.bridge.diff import diff_fields, inputs_of, merge_inputs
from plugins.bridge.schema import boolean, integer, list_of, map_of, object_of, set_of, string


def changes(schema: dict[str, Any], old: dict[str, Any], new: dict[str, Any]) -> dict[str, str]:
    return {
        change.path: change.kind + ("-replace" if change.replace else "")
        for change in diff_fields(schema, old, new)
    }


@pytest.mark.parametrize(
    ("prop", "old", "new", "expected"),
    [
        (string(), "a", "a", {}),
        (string(), "a", "b", {"p": "update"}),
        (string(), "", None, {}),
        (string(), "a", None, {"p": "delete"}),
        (string(computed=True), "a", None, {}),
        (string(force_new=True), "a", UNKNOWN, {"p": "update-replace"}),
        (integer(), 0, None, {}),
        (integer(), None, 5, {"p": "add"}),
        (boolean(), False, True, {"p": "update"}),
        (list_of(string()), ["a", "b"], ["b", "a"], {"p[0]": "update", "p[1]": "update"}),
        (set_of(string()), ["a", "b"], ["b", "a"], {}),
        (set_of(string(), force_new=True), ["A=1"], ["A=1", "B=2"], {"p[1]": "add-replace"}),
        (set_of(string()), ["a", "b"], ["b"], {"p[0]": "delete"}),
        (map_of(string()), {"a.b": "1"}, {"a.b": "2"}, {'p["a.b"]': "update"}),
        (map_of(string()), {"/run": "x"}, {}, {'p["/run"]': "delete"}),
        (object_of({"a": string(), "b": integer()}), {"a": "x", "b": 1}, {"a": "y", "b": 1},
         {"p.a": "update"}),
        (object_of({"a": string()}), None, {"a": "y"}, {"p": "add"}),
        (set_of(object_of({"a": string(), "b": string(computed=True)})),
         [{"a": "x", "b": "given by the daemon"}], [{"a": "x"}], {}),
        (set_of(object_of({"a": string(), "b": integer()})),
         [{"a": "x", "b": 1}], [{"a": "x", "b": 2}], {"p[0].b": "update"}),
    ],
)  # fmt: skip
def test_difference(prop: Any, old: Any, new: Any, expected: dict[str, str]) -> None:
    assert changes({"p": prop}, {"p": old}, {"p": new}) == expected


def test_refresh_keeps_the_programs_spelling_and_takes_what_drifted() -> None:
    schema = {"tags": set_of(string()), "size": integer(), "gone": string()}
    inputs = {"__defaults": [], "tags": ["b", "a"], "size": 1, "gone": "x"}
    state = {"tags": ["a", "b"], "size": 2, "gone": ""}
    assert merge_inputs(schema, inputs, state) == {
        "__defaults": [],
        "tags": ["b", "a"],
        "size": 2,
    }


def test_import_finds_the_inputs_that_are_not_defaults() -> None:
    schema = {
        "name": string(required=True),
        "size": integer(),
        "driver": string(computed=True),
        "parts": list_of(object_of({"a": string(), "b": string()})),
    }
    state = {"name": "n", "size": 0, "driver": "x", "parts": [{"a": "1", "b": ""}]}
    assert inputs_of(schema, state) == {"name": "n", "parts": [{"__defaults": [], "a": "1"}]}
