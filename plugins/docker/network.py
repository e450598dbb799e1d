"""`docker:index/network:Network`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import docker.errors

from plugins.bridge import (
    Created,
    Operation,
    Schema,
    UserError,
    boolean,
    map_of,
    object_of,
    set_of,
    string,
)
from plugins.docker.daemon import LABEL, DockerResource, labels_from_map, labels_to_map, made_by
from plugins.docker.errors import explained

_META = '{"schema_version":"1"}'


class Network(DockerResource):
    """A network; every change replaces it."""

    token = "docker:index/network:Network"
    inputs: ClassVar[Schema] = {
        "name": string(required=True, force_new=True),
        "labels": set_of(LABEL, force_new=True),
        "driver": string(computed=True, force_new=True),
        "options": map_of(string(), computed=True, force_new=True),
        "internal": boolean(computed=True, force_new=True),
        "attachable": boolean(force_new=True),
        "ingress": boolean(force_new=True),
        "ipv6": boolean(force_new=True),
        "ipamDriver": string(default="default", force_new=True),
        "ipamOptions": map_of(string(), computed=True, force_new=True),
        "ipamConfigs": set_of(
            object_of(
                {
                    "subnet": string(),
                    "ipRange": string(),
                    "gateway": string(),
                    "auxAddress": map_of(string()),
                }
            ),
            computed=True,
            force_new=True,
        ),
    }
    outputs: ClassVar[Schema] = {"scope": string()}

    def create(self, op: Operation, inputs: dict[str, Any]) -> Created:
        """Make the network."""
        name = inputs["name"]
        with explained(f"can't create the network {name}"):
            self._free_name(op, name)
            entry = op.begin(name)
            try:
                id = self.client.create_network(
                    name,
                    check_duplicate=True,
                    driver=inputs.get("driver"),
                    options=inputs.get("options"),
                    internal=inputs.get("internal", False),
                    attachable=inputs.get("attachable"),
                    ingress=inputs.get("ingress"),
                    enable_ipv6=inputs.get("ipv6", False),
                    labels=labels_to_map(inputs.get("labels")),
                    ipam=_ipam(inputs),
                )["Id"]
            except Exception:
                entry.drop()
                raise
            entry.record(id)
            return Created(id, self._state(self.client.inspect_network(id), inputs))

    def _free_name(self, op: Operation, name: str) -> None:
        """Remove what a killed run left under this name; anything else is the user's."""
        entries = op.left_over(name)
        for found in self.client.networks(names=[name]):
            if found["Name"] != name:
                continue
            if not made_by(entries, found["Id"], found["Created"]):
                raise UserError(
                    f"a network named {name} exists already and is not in this stack's state: "
                    f"remove it (docker network rm {name}) or import it "
                    f"(pulumi import {self.token} {op.logical_name} {found['Id']})"
                )
            self._remove(op, found["Id"])
        for entry in entries:
            entry.drop()

    def read(self, op: Operation, id: str, state: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the network as the daemon has it."""
        with explained(f"can't read the network {id}"):
            try:
                return self._state(self.client.inspect_network(id), state)
            except docker.errors.NotFound:
                return None

    def update(
        self, op: Operation, id: str, state: Mapping[str, Any], inputs: dict[str, Any]
    ) -> dict[str, Any]:
        """Return the state: no property can change in place."""
        return dict(state)

    def delete(self, op: Operation, id: str, state: Mapping[str, Any]) -> None:
        """Remove the network."""
        with explained(f"can't remove the network {state.get('name', id)}"):
            self._remove(op, id)

    def _remove(self, op: Operation, id: str) -> None:
        def holders() -> dict[str, str]:
            found = self.client.inspect_network(id).get("Containers") or {}
            return {holder: endpoint["Name"] for holder, endpoint in found.items()}

        self.remove_when_free(op, lambda: self.client.remove_network(id), holders)

    @staticmethod
    def _state(found: dict[str, Any], old: Mapping[str, Any]) -> dict[str, Any]:
        ipam = found["IPAM"]
        return {
            "__meta": _META,
            "id": found["Id"],
            "name": found["Name"],
            "labels": labels_from_map(found["Labels"]),
            "driver": found["Driver"],
            "options": found["Options"] or {},
            "internal": found["Internal"],
            "attachable": found["Attachable"],
            "ingress": found["Ingress"],
            "ipv6": found["EnableIPv6"],
            "ipamDriver": ipam["Driver"],
            "ipamOptions": old.get("ipamOptions"),
            "ipamConfigs": [
                {
                    "subnet": config.get("Subnet", ""),
                    "ipRange": config.get("IPRange", ""),
                    "gateway": config.get("Gateway", ""),
                    "auxAddress": config.get("AuxiliaryAddresses") or None,
                }
                for config in ipam["Config"] or ()
            ],
            "scope": found["Scope"],
        }


def _ipam(inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "Driver": inputs.get("ipamDriver"),
        "Options": inputs.get("ipamOptions"),
        "Config": [
            {
                "Subnet": config.get("subnet", ""),
                "IPRange": config.get("ipRange", ""),
                "Gateway": config.get("gateway", ""),
                "AuxiliaryAddresses": config.get("auxAddress") or {},
            }
            for config in inputs.get("ipamConfigs") or ()
        ],
    }
