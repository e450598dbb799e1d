"""Domain: a virtual machine."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import libvirt

from plugins.bridge import CheckFailure, Created, Operation, UserError
from plugins.libvirt import reservations, storage, xml
from plugins.libvirt.base import LibvirtResource, failing_as, found, quietly
from plugins.libvirt.cloud_init_disk import volume_key
from plugins.libvirt.domain_read import (
    NetworkInfo,
    Seen,
    domain_outputs,
    interfaces_on_networks,
    machine_names,
)
from plugins.libvirt.domain_schema import INPUTS, WITHOUT_EFFECT
from plugins.libvirt.domain_xml import (
    Facts,
    VolumeRef,
    cloudinit_disk,
    domain_xml,
    random_mac,
)
from plugins.libvirt.network_xml import dhcp_hostname, has_dhcp
from plugins.libvirt.removal import remove_domain

_LEASE_TIMEOUT_S = 300.0  # upstream's default time-out of a create
_LEASE_POLL_S = 1.0


class Domain(LibvirtResource):
    """libvirt:index/domain:Domain."""

    token = "libvirt:index/domain:Domain"
    inputs = INPUTS

    def check(
        self, op: Operation, inputs: dict[str, Any], old_inputs: Mapping[str, Any]
    ) -> list[CheckFailure]:
        """Check that firmware and NVRAM go together."""
        if inputs.get("nvram") is not None and inputs.get("firmware") is None:
            return [CheckFailure("nvram", "'nvram' needs 'firmware', which is not given")]
        return []

    def create(self, op: Operation, inputs: dict[str, Any]) -> Created:
        """Define and start the domain; a failure leaves neither it nor its DHCP entries behind."""
        name = inputs["name"]
        with failing_as(f"can't create domain '{name}'"):
            entry = op.begin(name)
            uuid = str(uuid4())
            entry.record(uuid)
            undo: list[reservations.Undo] = []
            domain = None
            try:
                self._clear_the_name(op, name)
                facts = self._facts(inputs, uuid)
                self._reserve(inputs, facts, undo)
                document = xml.transformed(domain_xml(inputs, facts), inputs)
                domain = self.libvirt.defineXML(document)
                entry.record(domain.UUIDString())
                if inputs.get("autostart"):
                    domain.setAutostart(1)
                domain.create()
                self._wait_for_leases(op, domain, inputs, facts)
                running = bool(inputs.get("running", True))
                state = self._state(domain, inputs)
                self._reserve_what_dhcp_gave(inputs, state, facts)
                if not running:
                    domain.destroy()
                return Created(domain.UUIDString(), {**state, "running": running})
            except BaseException:
                if domain is not None:
                    remove_domain(domain)
                for step in reversed(undo):
                    quietly(step)
                entry.drop()
                raise

    def _clear_the_name(self, op: Operation, name: str) -> None:
        """Remove a domain that a killed run left; raises UserError for one that is not ours."""
        left = op.left_over(name)
        existing = found(self.libvirt.lookupByName, name)
        if existing is not None:
            uuid = existing.UUIDString()
            if all(entry.id != uuid for entry in left):
                raise UserError(
                    f"domain '{name}' already exists and is not part of this stack: choose "
                    "another name, or bring it in with "
                    f"`pulumi import {self.token} {op.logical_name} {uuid}`"
                )
            remove_domain(existing)
        for entry in left:
            entry.drop()

    def _facts(self, inputs: Mapping[str, Any], uuid: str) -> Facts:
        """Look up what the domain's XML refers to."""
        volumes = {}
        for disk in inputs.get("disks") or []:
            key = disk.get("volumeId")
            if key:
                volume = storage.volume_by_key(self.libvirt, key)
                if volume is None:
                    raise UserError(f"can't retrieve volume {key}: it does not exist")
                format_ = xml.attribute(xml.parse(volume.XMLDesc(0)), "target/format", "type")
                pool = volume.storagePoolLookupByVolume()
                volumes[key] = VolumeRef(pool.name(), volume.name(), format_)
        interfaces = inputs.get("networkInterfaces") or []
        networks = tuple(self._network_name(interface) for interface in interfaces)
        macs = tuple(str(i.get("mac") or random_mac()).upper() for i in interfaces)
        return Facts(
            uuid=uuid,
            host_arch=str(self.libvirt.getInfo()[0]),
            volumes=volumes,
            networks=networks,
            macs=macs,
            cloudinit_path=self._cloudinit_path(inputs.get("cloudinit")),
        )

    def _network_name(self, interface: Mapping[str, Any]) -> str | None:
        name, uuid = interface.get("networkName"), interface.get("networkId")
        if name:
            network = found(self.libvirt.networkLookupByName, name)
        elif uuid:
            network = found(self.libvirt.networkLookupByUUIDString, uuid)
        else:
            return None
        if network is None:
            raise UserError(f"can't retrieve network '{name or uuid}': it does not exist")
        return str(network.name())

    def _cloudinit_path(self, id: str | None) -> str | None:
        if not id:
            return None
        volume = storage.volume_by_key(self.libvirt, volume_key(id))
        if volume is None:
            raise UserError(f"can't retrieve cloud-init disk {id}: it does not exist")
        return str(volume.path())

    def _reserve(
        self, inputs: Mapping[str, Any], facts: Facts, undo: list[reservations.Undo]
    ) -> None:
        """Reserve the addresses that the program asks for in their networks' DHCP."""
        for index, interface in enumerate(inputs.get("networkInterfaces") or []):
            name = facts.networks[index]
            if name is None:
                continue
            network = self.libvirt.networkLookupByName(name)
            if not has_dhcp(network.XMLDesc(0)):
                continue
            host = interface.get("hostname") or inputs["name"]
            for address in interface.get("addresses") or []:
                undo.append(reservations.reserve(network, address, facts.macs[index], host))

    def _reserve_what_dhcp_gave(
        self, inputs: Mapping[str, Any], state: Mapping[str, Any], facts: Facts
    ) -> None:
        """Keep the leased address of an interface that waited for one, as upstream does."""
        for index, interface in enumerate(inputs.get("networkInterfaces") or []):
            name = facts.networks[index]
            if name is None or not interface.get("waitForLease") or interface.get("addresses"):
                continue
            network = self.libvirt.networkLookupByName(name)
            host = interface.get("hostname") or inputs["name"]
            for address in state["networkInterfaces"][index]["addresses"]:
                # The domain is up and has its address: failing here would help nobody.
                with contextlib.suppress(libvirt.libvirtError, UserError):
                    reservations.reserve(network, address, facts.macs[index], host)

    def _wait_for_leases(
        self,
        op: Operation,
        domain: libvirt.virDomain,
        inputs: Mapping[str, Any],
        facts: Facts,
    ) -> None:
        waiting = [
            mac
            for mac, interface in zip(
                facts.macs, inputs.get("networkInterfaces") or [], strict=True
            )
            if interface.get("waitForLease")
        ]
        deadline = time.monotonic() + _LEASE_TIMEOUT_S
        while waiting:
            addresses = _addresses(domain, agent=bool(inputs.get("qemuAgent")))
            waiting = [mac for mac in waiting if not addresses.get(mac)]
            if not waiting:
                return
            if not domain.isActive():
                raise UserError(f"domain '{domain.name()}' stopped before it had an address")
            if op.cancelled.wait(_LEASE_POLL_S):
                raise UserError(f"domain '{domain.name()}': waiting for its address was cancelled")
            if time.monotonic() > deadline:
                raise UserError(
                    f"domain '{domain.name()}' got no address for {', '.join(waiting)} within "
                    f"{_LEASE_TIMEOUT_S:.0f} s: does it boot, and has its network DHCP?"
                )
            op.status(f"waiting for the address of {', '.join(waiting)}")

    def read(self, op: Operation, id: str, state: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the domain's state."""
        with failing_as(f"can't read domain {id}"):
            domain = found(self.libvirt.lookupByUUIDString, id)
            return None if domain is None else self._state(domain, state)

    def _state(self, domain: libvirt.virDomain, prior: Mapping[str, Any]) -> dict[str, Any]:
        # The inactive definition is what was asked for; the live one has libvirt's choices in it.
        flags = libvirt.VIR_DOMAIN_XML_INACTIVE if domain.isPersistent() else 0
        definition = domain.XMLDesc(flags)
        arch = xml.attribute(xml.parse(definition), "os/type", "arch")
        seen = Seen(
            definition=definition,
            running=domain.state()[0] == libvirt.VIR_DOMAIN_RUNNING,
            autostart=bool(domain.autostart()),
            short_machine=lambda machine: self._machine_names(arch).get(machine, machine),
            networks=self._networks(definition),
            addresses=_addresses(domain, agent=bool(prior.get("qemuAgent"))),
            volume_id=self._volume_id,
        )
        return domain_outputs(seen, prior)

    def _machine_names(self, arch: str) -> dict[str, str]:
        # Seconds where libvirt has to probe its emulators anew, so only when there is no other way.
        return machine_names(self.libvirt.getCapabilities(), arch)

    def _networks(self, definition: str) -> dict[tuple[str, str], NetworkInfo]:
        networks = {}
        for name, mac in interfaces_on_networks(definition):
            network = found(self.libvirt.networkLookupByName, name)
            if network is not None:
                hostname = dhcp_hostname(network.XMLDesc(0), mac)
                networks[name, mac] = NetworkInfo(network.UUIDString(), hostname)
        return networks

    def _volume_id(self, pool_name: str, name: str) -> str:
        pool = found(self.libvirt.storagePoolLookupByName, pool_name)
        volume = found(pool.storageVolLookupByName, name) if pool is not None else None
        return "" if volume is None else str(volume.key())

    def update(
        self, op: Operation, id: str, state: Mapping[str, Any], inputs: dict[str, Any]
    ) -> dict[str, Any]:
        """Change run state, autostart, cloud-init disk and the DHCP entries of interfaces.

        What libvirt does not change in place is only written down, as upstream does, with a
        warning that says so.
        """
        name = inputs["name"]
        with failing_as(f"can't update domain '{name}'"):
            domain = found(self.libvirt.lookupByUUIDString, id)
            if domain is None:
                raise UserError(f"domain '{name}' is gone: run `pulumi refresh`, then `up` again")
            running = bool(inputs.get("running", True))
            if running and not domain.isActive():
                domain.create()
            cloudinit = inputs.get("cloudinit")
            if cloudinit and cloudinit != state.get("cloudinit"):
                self._change_cloudinit(domain, cloudinit)
            autostart = bool(inputs.get("autostart"))
            if autostart != bool(state.get("autostart")):
                domain.setAutostart(int(autostart))
            self._update_interfaces(state, inputs)
            if not running and domain.isActive():
                domain.destroy()
            for key in WITHOUT_EFFECT:
                if inputs.get(key) is not None and inputs[key] != state.get(key):
                    op.warn(f"domain '{name}': {key} takes effect when the domain is replaced")
            return self._updated(state, inputs, running=running)

    def _change_cloudinit(self, domain: libvirt.virDomain, id: str) -> None:
        path = self._cloudinit_path(id)
        assert path is not None
        flags = libvirt.VIR_DOMAIN_DEVICE_MODIFY_CONFIG
        if domain.isActive():
            flags |= libvirt.VIR_DOMAIN_DEVICE_MODIFY_LIVE
        domain.updateDeviceFlags(xml.render(cloudinit_disk(path)), flags)

    def _update_interfaces(self, state: Mapping[str, Any], inputs: Mapping[str, Any]) -> None:
        old_interfaces = state.get("networkInterfaces") or []
        for index, interface in enumerate(inputs.get("networkInterfaces") or []):
            old = old_interfaces[index] if index < len(old_interfaces) else {}
            if all(
                interface.get(key) is None or interface[key] == old.get(key)
                for key in ("hostname", "addresses", "mac")
            ):
                continue
            uuid = interface.get("networkId") or old.get("networkId")
            network = found(self.libvirt.networkLookupByUUIDString, uuid) if uuid else None
            if network is None:
                continue
            mac = interface.get("mac") or old.get("mac") or ""
            host = interface.get("hostname") or old.get("hostname") or inputs["name"]
            for address in interface.get("addresses") or []:
                reservations.reserve(network, address, mac, host)

    @staticmethod
    def _updated(
        state: Mapping[str, Any], inputs: Mapping[str, Any], *, running: bool
    ) -> dict[str, Any]:
        """State after an update: what was asked for, as upstream writes it without reading."""
        updated = {**state, "running": running}
        for key, prop in INPUTS.items():
            if inputs.get(key) is not None:
                updated[key] = inputs[key]
            elif not prop.computed:
                updated[key] = prop.zero if state.get(key) is not None else None
        old_interfaces = state.get("networkInterfaces") or []
        updated["networkInterfaces"] = [
            {**(old_interfaces[i] if i < len(old_interfaces) else {}), **interface}
            for i, interface in enumerate(inputs.get("networkInterfaces") or [])
        ]
        return updated

    def delete(self, op: Operation, id: str, state: Mapping[str, Any]) -> None:
        """Stop the domain at once and undefine it with its NVRAM; its volumes stay."""
        with failing_as(f"can't delete domain '{state.get('name', id)}'"):
            domain = found(self.libvirt.lookupByUUIDString, id)
            if domain is not None:
                remove_domain(domain, strict=True)


def _addresses(domain: libvirt.virDomain, *, agent: bool) -> dict[str, list[str]]:
    """Addresses of a running domain by upper-case MAC, from DHCP leases or the guest's agent."""
    if not domain.isActive():
        return {}
    source = (
        libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT
        if agent
        else libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE
    )
    try:
        interfaces = domain.interfaceAddresses(source, 0)
    except libvirt.libvirtError:
        return {}  # no agent yet, or no leases kept for this kind of interface
    return {
        str(interface.get("hwaddr") or "").upper(): [
            address["addr"] for address in interface.get("addrs") or []
        ]
        for interface in interfaces.values()
    }
