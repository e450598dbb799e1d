"""The difference between an object's state and the inputs asked for, path by path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from plugins.bridge.paths import child, item
from plugins.bridge.schema import Kind, Prop, Schema
from plugins.bridge.values import Unknown, has_unknown

ChangeKind = Literal["add", "update", "delete"]


@dataclass(frozen=True)
class Change:
    """One difference; `replace` means that the resource has to be made anew for it."""

    path: str
    kind: ChangeKind
    replace: bool = False


def diff_fields(
    schema: Schema,
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    path: str = "",
    replace: bool = False,
) -> Iterator[Change]:
    """Yield what differs between the state `old` and the inputs `new`."""
    for name, prop in schema.items():
        yield from diff_value(prop, old.get(name), new.get(name), child(path, name), replace)


def diff_value(prop: Prop, old: Any, new: Any, path: str, replace: bool) -> Iterator[Change]:
    """Yield the differences of one property."""
    replace = replace or prop.force_new
    if new is None and prop.computed:
        return
    if isinstance(new, Unknown):
        yield Change(path, _kind(prop, old, new), replace)
        return
    if same(prop, old, new):
        return
    if prop.kind is Kind.OBJECT and old and new:
        yield from diff_fields(prop.fields, old, new, path, replace)
    elif prop.kind is Kind.MAP and prop.element:
        old, new = old or {}, new or {}
        for key in [*old, *(k for k in new if k not in old)]:
            yield from _entry(prop.element, old.get(key), new.get(key), child(path, key), replace)
    elif prop.kind is Kind.LIST and prop.element:
        yield from _list(prop.element, old or [], new or [], path, replace)
    elif prop.kind is Kind.SET and prop.element:
        yield from _set(prop.element, old or [], new or [], path, replace)
    else:
        yield Change(path, _kind(prop, old, new), replace)


def same(prop: Prop, old: Any, new: Any) -> bool:
    """Tell whether a state and an input mean the same thing."""
    if new is None and prop.computed:
        return True
    if has_unknown(new):
        return False
    if prop.same is not None and prop.same(old, new):
        return True
    if prop.kind is Kind.OBJECT:
        if old is None or new is None:
            return not old and not new
        return not any(True for _ in diff_fields(prop.fields, old, new))
    old = prop.zero if old is None else old
    new = prop.zero if new is None else new
    element = prop.element
    if element is None:
        return bool(old == new)
    if len(old) != len(new):
        return False
    if prop.kind is Kind.MAP:
        return all(key in old and same(element, old[key], new[key]) for key in new)
    if prop.kind is Kind.LIST:
        return all(same(element, o, n) for o, n in zip(old, new, strict=True))
    return not any(True for _ in _unmatched(element, old, new))


def _list(
    element: Prop, old: list[Any], new: list[Any], path: str, replace: bool
) -> Iterator[Change]:
    for index in range(max(len(old), len(new))):
        yield from _entry(
            element,
            old[index] if index < len(old) else None,
            new[index] if index < len(new) else None,
            item(path, index),
            replace,
        )


def _set(
    element: Prop, old: list[Any], new: list[Any], path: str, replace: bool
) -> Iterator[Change]:
    gone: list[int] = []
    added: list[int] = []
    for is_new, index in _unmatched(element, old, new):
        (added if is_new else gone).append(index)
    for index in sorted({*gone, *added}):
        yield from _entry(
            element,
            old[index] if index in gone else None,
            new[index] if index in added else None,
            item(path, index),
            replace,
        )


def _unmatched(element: Prop, old: list[Any], new: list[Any]) -> Iterator[tuple[bool, int]]:
    """Yield (is new, index) of the elements that only one side has."""
    left = dict(enumerate(old))
    for index, value in enumerate(new):
        match = next((i for i, candidate in left.items() if same(element, candidate, value)), None)
        if match is None:
            yield True, index
        else:
            del left[match]
    for index in left:
        yield False, index


def _entry(prop: Prop, old: Any, new: Any, path: str, replace: bool) -> Iterator[Change]:
    """Yield the differences of a list element or map entry: there, absence is not zero."""
    if old is None and new is None:
        return
    if old is None or new is None:
        yield Change(path, "add" if old is None else "delete", replace or prop.force_new)
        return
    yield from diff_value(prop, old, new, path, replace)


def _kind(prop: Prop, old: Any, new: Any) -> ChangeKind:
    if old is None or (old == prop.zero and new is not None and prop.kind is not Kind.BOOLEAN):
        return "add"
    return "delete" if new is None else "update"


def merge_inputs(
    schema: Schema, inputs: Mapping[str, Any], state: Mapping[str, Any]
) -> dict[str, Any]:
    """Return `inputs` as the state has them now, for a refresh.

    An input that the state still agrees with keeps the program's own spelling.
    """
    merged: dict[str, Any] = {}
    for name, value in inputs.items():
        prop = schema.get(name)
        if prop is None or same(prop, state.get(name), value):
            merged[name] = value
        elif state.get(name) not in (None, prop.zero):
            merged[name] = state[name]
    return merged


def inputs_of(schema: Schema, state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs that would make an object with this state, for an import."""

    def strip(prop: Prop, value: Any) -> Any:
        if prop.kind is Kind.OBJECT:
            return {"__defaults": [], **inputs_of(prop.fields, value)}
        if prop.element is not None and isinstance(value, list):
            return [strip(prop.element, element) for element in value]
        return value

    found = {}
    for name, prop in schema.items():
        value = state.get(name)
        if value is not None and (prop.required or (value != prop.zero and not prop.computed)):
            found[name] = strip(prop, value)
    return found
