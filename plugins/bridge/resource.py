"""Base classes of providers and resource types."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from plugins.bridge.diff import Change, inputs_of, merge_inputs
from plugins.bridge.errors import CheckFailure
from plugins.bridge.journal import Entry, Journal
from plugins.bridge.schema import Schema

__all__ = ["Change", "Created", "Operation", "Provider", "Resource"]


@dataclass(frozen=True)
class Operation:
    """What one call is about, and its ways to talk back."""

    urn: str
    journal: Journal
    cancelled: threading.Event
    log: Callable[[str, str, bool], None] = field(default=lambda severity, text, ephemeral: None)

    @property
    def logical_name(self) -> str:
        """Name of the resource in the program."""
        return self.urn.split("::", 3)[3]

    def status(self, text: str) -> None:
        """Show a line of progress beside the resource."""
        self.log("info", text, True)

    def warn(self, text: str) -> None:
        """Show a warning that stays."""
        self.log("warning", text, False)

    def begin(self, name: str) -> Entry:
        """Write in the journal that an object called `name` is about to be made."""
        return self.journal.begin(self.urn, name)

    def left_over(self, name: str) -> list[Entry]:
        """Return the entries that killed runs left for this resource and name."""
        return self.journal.left_over(self.urn, name)


@dataclass(frozen=True)
class Created:
    """A new object: its id and its whole state."""

    id: str
    state: dict[str, Any]


class Provider(ABC):
    """A plugin: name, version, configuration and resource types."""

    name: ClassVar[str]
    version: ClassVar[str]
    config: ClassVar[Schema]
    upstream: ClassVar[str]
    """Upstream plugin to name as the remedy for what the bridge lacks, e.g. `docker plugin 5.x`."""
    resources: ClassVar[tuple[type[Resource[Any]], ...]]

    @abstractmethod
    def configure(self, config: Mapping[str, Any]) -> None:
        """Take the configuration; connect later, when a resource needs it."""


P = TypeVar("P", bound=Provider)


class Resource(ABC, Generic[P]):
    """A resource type."""

    token: ClassVar[str]
    inputs: ClassVar[Schema]
    outputs: ClassVar[Schema] = {}
    autoname: ClassVar[str | None] = "name"
    """Input that gets an automatic name when it is left out."""
    marks_defaults: ClassVar[bool] = True
    """Whether checked inputs list what was filled in under `__defaults`, as upstream's do."""
    volatile: ClassVar[frozenset[str]] = frozenset()
    """Outputs that an update may change; unknown while one is previewed."""

    def __init__(self, provider: P) -> None:
        self.provider = provider

    def check(
        self, op: Operation, inputs: dict[str, Any], old_inputs: Mapping[str, Any]
    ) -> list[CheckFailure]:
        """Check what the schema can't say; may fill in `inputs`, which may hold `UNKNOWN`."""
        return []

    def adjust_diff(
        self,
        changes: list[Change],
        state: Mapping[str, Any],
        old_inputs: Mapping[str, Any],
        inputs: Mapping[str, Any],
    ) -> list[Change]:
        """Return the changes, corrected."""
        return changes

    def refresh_inputs(self, inputs: Mapping[str, Any], state: Mapping[str, Any]) -> dict[str, Any]:
        """Return the inputs that a refresh writes, those of an import when there are none."""
        if inputs:
            return merge_inputs(self.inputs, inputs, state)
        found = inputs_of(self.inputs, state)
        return {"__defaults": [], **found} if self.marks_defaults else found

    def preview(self, op: Operation, inputs: dict[str, Any]) -> None:
        """Do what a preview of these inputs, all known, is to do; by default nothing."""

    @abstractmethod
    def create(self, op: Operation, inputs: dict[str, Any]) -> Created:
        """Make the object; on failure leave nothing behind."""

    @abstractmethod
    def read(self, op: Operation, id: str, state: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the object's state now, or None when it is gone.

        `state` is the last one known, empty for an import.
        """

    @abstractmethod
    def update(
        self, op: Operation, id: str, state: Mapping[str, Any], inputs: dict[str, Any]
    ) -> dict[str, Any]:
        """Change the object in place and return its state."""

    @abstractmethod
    def delete(self, op: Operation, id: str, state: Mapping[str, Any]) -> None:
        """Remove the object; that it is gone already is success."""
