"""Declarative property schemas: type, default, and what a change of the property means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Kind(Enum):
    """Type of a property, named as error messages name it."""

    STRING = "a string"
    INTEGER = "an integer"
    NUMBER = "a number"
    BOOLEAN = "a boolean"
    LIST = "a list"
    SET = "a list (order does not matter)"
    MAP = "a map"
    OBJECT = "an object"


@dataclass(frozen=True, kw_only=True)
class Prop:
    """One property.

    `computed`: left out by the program, it keeps whatever the object has (no diff).
    Otherwise absence means `absent`, by default the zero value of its kind: a state that says
    something else is a difference. `default` is written into the checked inputs.
    `force_new`: a change here or below replaces the resource.
    `same(old, new)`: further values that count as equal.
    """

    kind: Kind
    element: Prop | None = None
    fields: Mapping[str, Prop] = field(default_factory=dict)
    required: bool = False
    default: Any = None
    absent: Any = None
    computed: bool = False
    force_new: bool = False
    same: Callable[[Any, Any], bool] | None = None
    choices: tuple[str, ...] = ()

    @property
    def zero(self) -> Any:
        """Value that an absent property stands for."""
        return self.absent if self.absent is not None else _ZEROS.get(self.kind)


_ZEROS: Mapping[Kind, Any] = {
    Kind.STRING: "",
    Kind.INTEGER: 0,
    Kind.NUMBER: 0,
    Kind.BOOLEAN: False,
    Kind.LIST: [],
    Kind.SET: [],
    Kind.MAP: {},
}

Schema = Mapping[str, Prop]


def string(**flags: Any) -> Prop:
    """Declare a string; flags are `Prop`'s."""
    return Prop(kind=Kind.STRING, **flags)


def integer(**flags: Any) -> Prop:
    """Declare an integer."""
    return Prop(kind=Kind.INTEGER, **flags)


def number(**flags: Any) -> Prop:
    """Declare a number that may have a fraction."""
    return Prop(kind=Kind.NUMBER, **flags)


def boolean(**flags: Any) -> Prop:
    """Declare a boolean."""
    return Prop(kind=Kind.BOOLEAN, **flags)


def list_of(element: Prop, **flags: Any) -> Prop:
    """Declare a list whose order matters."""
    return Prop(kind=Kind.LIST, element=element, **flags)


def set_of(element: Prop, **flags: Any) -> Prop:
    """Declare a list whose order does not matter."""
    return Prop(kind=Kind.SET, element=element, **flags)


def map_of(element: Prop, **flags: Any) -> Prop:
    """Declare a map from any string to one type."""
    return Prop(kind=Kind.MAP, element=element, **flags)


def object_of(fields: Schema, **flags: Any) -> Prop:
    """Declare an object with named fields."""
    return Prop(kind=Kind.OBJECT, fields=fields, **flags)
