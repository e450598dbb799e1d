"""Inputs against a schema: types, names, defaults and auto-naming."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from plugins.bridge.errors import CheckFailure
from plugins.bridge.paths import child, item
from plugins.bridge.schema import Kind, Prop, Schema
from plugins.bridge.values import Unknown

_PYTHON_TYPES: Mapping[Kind, tuple[type, ...]] = {
    Kind.STRING: (str,),
    Kind.INTEGER: (int,),
    Kind.NUMBER: (int, float),
    Kind.BOOLEAN: (bool,),
    Kind.LIST: (list,),
    Kind.SET: (list,),
    Kind.MAP: (dict,),
    Kind.OBJECT: (dict,),
}


@dataclass
class Checker:
    """Checks one set of inputs; `owner` and `remedy` go into the text for unsupported names."""

    owner: str
    remedy: str
    failures: list[CheckFailure] = field(default_factory=list)

    def fields(
        self, schema: Schema, values: Mapping[str, Any], path: str, *, mark: bool
    ) -> dict[str, Any]:
        """Return the checked fields of an object, with defaults filled in.

        `mark` adds `__defaults`, the list of the fields that were filled in.
        """
        checked: dict[str, Any] = {}
        defaulted = []
        for name, value in values.items():
            if name.startswith("__") or value is None:
                continue
            prop = schema.get(name)
            if prop is None:
                dotted = child(path, name)
                self.fail(dotted, f"{self.owner}.{dotted} is not supported by {self.remedy}")
            else:
                checked[name] = self.value(prop, value, child(path, name), mark=mark)
        for name, prop in schema.items():
            if name in checked:
                continue
            if prop.default is not None:
                checked[name] = prop.default
                defaulted.append(name)
            elif prop.required:
                self.fail(child(path, name), f"{self.owner}.{child(path, name)} is required")
        if mark:
            checked["__defaults"] = sorted(defaulted)
        return checked

    def value(self, prop: Prop, value: Any, path: str, *, mark: bool) -> Any:
        """Return the checked value of one property."""
        if isinstance(value, Unknown):
            return value
        if not _is_a(value, prop.kind):
            self.fail(path, f"{self.owner}.{path} must be {prop.kind.value}, not {_name(value)}")
            return value
        if prop.choices and value not in prop.choices:
            allowed = ", ".join(prop.choices)
            self.fail(path, f"{self.owner}.{path} must be one of {allowed}, not {value!r}")
        if prop.kind is Kind.OBJECT:
            return self.fields(prop.fields, value, path, mark=mark)
        if prop.element is not None and isinstance(value, list):
            element = prop.element
            return [
                self.value(element, v, item(path, index), mark=mark)
                for index, v in enumerate(value)
                if v is not None
            ]
        if prop.element is not None:
            element = prop.element
            return {
                key: self.value(element, v, child(path, key), mark=mark)
                for key, v in value.items()
                if v is not None
            }
        return value

    def fail(self, path: str, reason: str) -> None:
        """Note a failure."""
        self.failures.append(CheckFailure(path, reason))


def auto_name(logical: str, seed: bytes, old_inputs: Mapping[str, Any], name: str) -> str:
    """Return the name an unnamed resource gets: its logical name and 7 hex digits.

    The old one is kept for as long as the name stays unset.
    """
    if name in old_inputs.get("__defaults", ()) and isinstance(old_inputs.get(name), str):
        return str(old_inputs[name])
    return f"{logical}-{hashlib.sha256(seed or logical.encode()).hexdigest()[:7]}"


def _is_a(value: Any, kind: Kind) -> bool:
    if isinstance(value, bool):
        return kind is Kind.BOOLEAN
    return isinstance(value, _PYTHON_TYPES[kind])


def _name(value: Any) -> str:
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, int | float):
        return f"the number {value}"
    return "a list" if isinstance(value, list) else "an object"
