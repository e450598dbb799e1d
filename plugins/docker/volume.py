"""`docker:index/volume:Volume`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import docker.errors

from plugins.bridge import Created, Operation, Schema, UserError, map_of, set_of, string
from plugins.docker.daemon import LABEL, DockerResource, labels_from_map, labels_to_map, made_by
from plugins.docker.errors import explained

_META = '{"schema_version":"1"}'


class Volume(DockerResource):
    """A named volume; every change replaces it."""

    token = "docker:index/volume:Volume"
    inputs: ClassVar[Schema] = {
        "name": string(computed=True, force_new=True),
        "labels": set_of(LABEL, force_new=True),
        "driver": string(computed=True, force_new=True),
        "driverOpts": map_of(string(), force_new=True),
    }
    outputs: ClassVar[Schema] = {"mountpoint": string(), "cluster": string()}

    def create(self, op: Operation, inputs: dict[str, Any]) -> Created:
        """Make the volume."""
        name = inputs["name"]
        with explained(f"can't create the volume {name}"):
            self._free_name(op, name)
            entry = op.begin(name)
            try:
                self.client.create_volume(
                    name,
                    driver=inputs.get("driver"),
                    driver_opts=inputs.get("driverOpts"),
                    labels=labels_to_map(inputs.get("labels")),
                )
            except Exception:
                entry.drop()
                raise
            entry.record(name)
            return Created(name, self._state(self.client.inspect_volume(name)))

    def _free_name(self, op: Operation, name: str) -> None:
        """Remove what a killed run left under this name.

        The daemon would silently give out a volume that is there already, with the user's data.
        """
        entries = op.left_over(name)
        try:
            found = self.client.inspect_volume(name)
        except docker.errors.NotFound:
            found = None
        if found is not None:
            # The id of a volume is its name, so only the time of creation proves whose it is.
            if not made_by(entries, None, found["CreatedAt"]):
                raise UserError(
                    f"a volume named {name} exists already and is not in this stack's state: "
                    f"remove it (docker volume rm {name}) or import it "
                    f"(pulumi import {self.token} {op.logical_name} {name})"
                )
            self._remove(op, name)
        for entry in entries:
            entry.drop()

    def read(self, op: Operation, id: str, state: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the volume as the daemon has it."""
        with explained(f"can't read the volume {id}"):
            try:
                return self._state(self.client.inspect_volume(id))
            except docker.errors.NotFound:
                return None

    def update(
        self, op: Operation, id: str, state: Mapping[str, Any], inputs: dict[str, Any]
    ) -> dict[str, Any]:
        """Return the state: no property can change in place."""
        return dict(state)

    def delete(self, op: Operation, id: str, state: Mapping[str, Any]) -> None:
        """Remove the volume and its data."""
        with explained(f"can't remove the volume {id}"):
            self._remove(op, id)

    def _remove(self, op: Operation, name: str) -> None:
        def holders() -> dict[str, str]:
            found = self.client.containers(all=True, filters={"volume": name})
            return {
                holder["Id"]: (holder["Names"] or [""])[0].removeprefix("/") for holder in found
            }

        self.remove_when_free(op, lambda: self.client.remove_volume(name), holders)

    @staticmethod
    def _state(found: dict[str, Any]) -> dict[str, Any]:
        return {
            "__meta": _META,
            "id": found["Name"],
            "name": found["Name"],
            "labels": labels_from_map(found["Labels"]),
            "driver": found["Driver"],
            "driverOpts": found["Options"] or None,
            "mountpoint": found["Mountpoint"],
            "cluster": None,
        }
