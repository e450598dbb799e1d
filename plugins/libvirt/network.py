"""Network: a virtual network with addresses, DHCP and DNS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from uuid import uuid4

import libvirt

from plugins.bridge import (
    CheckFailure,
    Created,
    Operation,
    Schema,
    Unknown,
    UserError,
    boolean,
    integer,
    list_of,
    object_of,
    set_of,
    string,
)
from plugins.bridge.values import has_unknown
from plugins.libvirt import leftovers, xml
from plugins.libvirt.base import XSLT, LibvirtResource, failing_as, found, quietly
from plugins.libvirt.network_xml import dns_host, hosts_by_address, network_outputs, network_xml

_ALSO_LIVE = libvirt.VIR_NETWORK_UPDATE_AFFECT_LIVE | libvirt.VIR_NETWORK_UPDATE_AFFECT_CONFIG
_SRV_KEYS = ("domain", "port", "priority", "protocol", "service", "target", "weight")


class Network(LibvirtResource):
    """libvirt:index/network:Network."""

    token = "libvirt:index/network:Network"
    inputs: ClassVar[Schema] = {
        "addresses": list_of(string(), force_new=True),
        "autostart": boolean(computed=True),
        "bridge": string(computed=True, force_new=True),
        "dhcp": object_of({"enabled": boolean(computed=True)}, computed=True, force_new=True),
        "dns": object_of(
            {
                "enabled": boolean(),
                "forwarders": list_of(
                    object_of({"address": string(), "domain": string()}), force_new=True
                ),
                "hosts": set_of(object_of({"hostname": string(), "ip": string()})),
                "localOnly": boolean(),
                "srvs": list_of(object_of({key: string() for key in _SRV_KEYS}), force_new=True),
            },
            computed=True,
        ),
        "dnsmasqOptions": object_of(
            {"options": list_of(object_of({"optionName": string(), "optionValue": string()}))}
        ),
        "domain": string(force_new=True),
        "mode": string(force_new=True, default="nat"),
        "mtu": integer(),
        "name": string(force_new=True, required=True),
        "routes": list_of(
            object_of({"cidr": string(required=True), "gateway": string(required=True)}),
            force_new=True,
        ),
        "xml": object_of(XSLT, force_new=True),
    }

    def check(
        self, op: Operation, inputs: dict[str, Any], old_inputs: Mapping[str, Any]
    ) -> list[CheckFailure]:
        """Check mode and addresses by trying to make the XML."""
        if any(has_unknown(value) or isinstance(value, Unknown) for value in inputs.values()):
            return []
        try:
            network_xml(inputs)
        except UserError as error:
            return [CheckFailure("", str(error))]
        return []

    def create(self, op: Operation, inputs: dict[str, Any]) -> Created:
        """Define and start the network; a failure leaves nothing behind."""
        name = inputs["name"]
        # libvirt picks bridge names while defining: two at once may get the same one.
        with failing_as(f"can't create network '{name}'"):
            with self.provider.connection.exclusive("networks"):
                entry = op.begin(name)
                uuid = str(uuid4())
                entry.record(uuid)
                document = xml.parse(network_xml(inputs))
                name_element = document.find("name")
                uuid_element = xml.root("uuid")
                uuid_element.text = uuid
                assert name_element is not None
                name_element.addnext(uuid_element)
                network = None
                try:
                    self._clear_the_name(op, name)
                    network = self.libvirt.networkDefineXML(
                        xml.transformed(xml.render(document), inputs)
                    )
                    entry.record(network.UUIDString())
                    network.create()
                    if inputs.get("autostart"):
                        network.setAutostart(1)
                except BaseException:
                    if network is not None:
                        self._remove(network)
                    entry.drop()
                    raise
            return Created(network.UUIDString(), self._state(network, inputs))

    def _clear_the_name(self, op: Operation, name: str) -> None:
        """Remove a network that a killed run left; raises UserError for one that is not ours."""
        left = op.left_over(name)
        existing = found(self.libvirt.networkLookupByName, name)
        if existing is not None:
            uuid = existing.UUIDString()
            if all(entry.id != uuid for entry in left):
                raise UserError(
                    f"network '{name}' already exists and is not part of this stack: choose "
                    "another name, or bring it in with "
                    f"`pulumi import {self.token} {op.logical_name} {uuid}`"
                )
            self._remove(existing)
        for entry in left:
            entry.drop()

    @staticmethod
    def _remove(network: libvirt.virNetwork) -> None:
        quietly(network.destroy)
        quietly(network.undefine)

    def read(self, op: Operation, id: str, state: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the network's state."""
        with failing_as(f"can't read network {id}"):
            network = found(self.libvirt.networkLookupByUUIDString, id)
            return None if network is None else self._state(network, state)

    @staticmethod
    def _state(network: libvirt.virNetwork, prior: Mapping[str, Any]) -> dict[str, Any]:
        outputs = network_outputs(
            network.XMLDesc(0), autostart=bool(network.autostart()), prior=prior
        )
        return {**outputs, "id": network.UUIDString()}

    def update(
        self, op: Operation, id: str, state: Mapping[str, Any], inputs: dict[str, Any]
    ) -> dict[str, Any]:
        """Start the network if it is stopped; change autostart and the DNS hosts.

        Of `mtu`, `dnsmasqOptions` and the other DNS settings libvirt changes nothing in place:
        like upstream, the new values are only written down, with a warning.
        """
        name = inputs["name"]
        with failing_as(f"can't update network '{name}'"):
            network = found(self.libvirt.networkLookupByUUIDString, id)
            if network is None:
                raise UserError(f"network '{name}' is gone: run `pulumi refresh`, then `up` again")
            if not network.isActive():
                network.create()
            if "autostart" in inputs and inputs["autostart"] != state.get("autostart"):
                network.setAutostart(int(inputs["autostart"]))
            dns, old_dns = inputs.get("dns"), state.get("dns") or {}
            if dns is not None:
                self._update_hosts(network, old_dns.get("hosts") or [], dns.get("hosts") or [])
            for key in ("mtu", "dnsmasqOptions"):
                if (inputs.get(key) or None) != (state.get(key) or None):
                    op.warn(f"network '{name}': {key} takes effect when the network is replaced")
            merged = {**state, **{key: inputs.get(key, state.get(key)) for key in self.inputs}}
            for key in ("mtu", "dnsmasqOptions"):
                merged[key] = inputs.get(key)
            return {**merged, **self._state(network, merged)}

    @staticmethod
    def _update_hosts(
        network: libvirt.virNetwork, old: list[dict[str, Any]], new: list[dict[str, Any]]
    ) -> None:
        before, after = hosts_by_address(old), hosts_by_address(new)
        section = libvirt.VIR_NETWORK_SECTION_DNS_HOST
        for address, names in before.items():
            if after.get(address) != names:
                document = xml.render(dns_host(address, []))
                command = libvirt.VIR_NETWORK_UPDATE_COMMAND_DELETE
                network.update(command, section, -1, document, _ALSO_LIVE)
        for address, names in after.items():
            if before.get(address) != names:
                document = xml.render(dns_host(address, names))
                command = libvirt.VIR_NETWORK_UPDATE_COMMAND_ADD_LAST
                network.update(command, section, -1, document, _ALSO_LIVE)

    def delete(self, op: Operation, id: str, state: Mapping[str, Any]) -> None:
        """Stop and undefine the network."""
        with failing_as(f"can't delete network '{state.get('name', id)}'"):
            network = found(self.libvirt.networkLookupByUUIDString, id)
            if network is None:
                return
            leftovers.remove_domains(op, self.libvirt, network=network.name())
            if network.isActive():
                network.destroy()
            if network.isPersistent():
                network.undefine()
