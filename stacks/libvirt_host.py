"""The libvirt daemon as this program itself sees it: preflight checks, and what killed runs left.

libvirt's objects carry no labels: what starts with the stack's prefix is taken for ours, but a
domain, whose description says so.
"""

from __future__ import annotations

import ipaddress
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pulumi

from components.vm.machine import OWNER_MARK
from components.vm.platform import POOLS_DIR, GoldenDisk
from stacks import hosts
from stacks.artefacts import Guest
from stacks.hosts import PreflightError

if TYPE_CHECKING:
    import libvirt as libvirt_types

#: What a machine writes to its own copy-on-write disk and its data disk, as seen: logs and the
#: database of 10,000 products, with room to grow.
_WRITTEN_BYTES: Final = 1024 * 1024 * 1024


_BUSY_POOL_S: Final = 60.0


class LibvirtHost:
    """A connection to the libvirt daemon that the stack goes to, made at the first need."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._connected: libvirt_types.virConnect | None = None

    @property
    def is_local(self) -> bool:
        """Return whether the daemon's networks and disks are this host's."""
        return self.uri.startswith("qemu:///") or "+unix:///" in self.uri

    def connection(self) -> libvirt_types.virConnect:
        """Return the connection.

        Raises:
            PreflightError: if the daemon does not answer or refuses this user.
        """
        if self._connected is None:
            import libvirt

            # Else the library writes each error to the terminal too.
            libvirt.registerErrorHandler(lambda _context, _error: None, None)
            try:
                self._connected = libvirt.open(self.uri)
            except libvirt.libvirtError as error:
                raise PreflightError(self._refusal(hosts.one_line(error))) from None
        return self._connected

    def _refusal(self, text: str) -> str:
        lowered = text.lower()
        if "permission denied" in lowered or "authentication" in lowered:
            return (
                f"no permission to use libvirt at {self.uri}:"
                " join the group libvirt (and log in again) or run as root"
            )
        if "failed to connect socket" in lowered or "cannot recv data" in lowered:
            return (
                f"no libvirt daemon answers at {self.uri}: start libvirtd, or set"
                " triptych:libvirt_uri (`make doctor` shows what this machine has)"
            )
        return f"libvirt at {self.uri} can't be used: {text}"


def check(
    host: LibvirtHost,
    *,
    stack: str,
    prefix: str,
    subnet: ipaddress.IPv4Network,
    guest: Guest,
    keep_images: bool,
) -> GoldenDisk:
    """Look whether the stack can be had on this daemon, and find the golden disk.

    Raises:
        PreflightError: if the daemon can't be used, the name or the subnet is taken by something
            that is not ours, the golden disk is not there, or the disk is too small.
    """
    connection = host.connection()
    for domain in connection.listAllDomains():
        if domain.name() == prefix and not _domain_is_ours(domain, stack):
            raise PreflightError(
                f'a domain "{prefix}" is there already and does not belong to this stack:'
                " remove or rename it, or use another stack name"
            )
    _check_subnet(host, prefix, subnet)
    golden = _golden_disk(connection, guest, keep_images=keep_images)
    if host.is_local:
        needed = _WRITTEN_BYTES + (0 if keep_images else guest.unpacked_bytes)
        hosts.require_space(Path(POOLS_DIR), needed, "the vm stack")
    return golden


def _domain_is_ours(domain: Any, stack: str) -> bool:
    found = re.search(r"<description>([^<]*)</description>", domain.XMLDesc())
    return found is not None and found[1] == f"{OWNER_MARK}{stack}"


def _check_subnet(host: LibvirtHost, prefix: str, subnet: ipaddress.IPv4Network) -> None:
    ours: str | None = None
    for network in host.connection().listAllNetworks():
        xml = network.XMLDesc()
        if network.name() == prefix:
            bridge = re.search(r"<bridge name='([^']+)'", xml)
            ours = bridge[1] if bridge else None
            continue
        for address, prefix_length in re.findall(
            r"<ip [^>]*address='([0-9.]+)'[^>]*prefix='(\d+)'", xml
        ):
            other = ipaddress.IPv4Network(f"{address}/{prefix_length}", strict=False)
            if subnet.overlaps(other):
                raise PreflightError(
                    f"triptych:vm_subnet: {subnet} overlaps {other} of the libvirt network"
                    f' "{network.name()}": set another subnet'
                )
    if host.is_local:
        for device, route in _host_routes():
            if device != ours and subnet.overlaps(route):
                raise PreflightError(
                    f"triptych:vm_subnet: {subnet} overlaps {route}, which this host reaches by"
                    f" {device}: set another subnet"
                )


def _host_routes() -> list[tuple[str, ipaddress.IPv4Network]]:
    """Return this host's IPv4 routes but the default one, as (device, network)."""
    try:
        lines = Path("/proc/net/route").read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return []
    routes = []
    for line in lines:
        fields = line.split()
        # The kernel prints addresses as hexadecimal numbers in the machine's byte order.
        destination, mask = (bytes.fromhex(fields[i])[::-1] for i in (1, 7))
        if any(mask):
            network = f"{ipaddress.IPv4Address(destination)}/{ipaddress.IPv4Address(mask)}"
            routes.append((fields[0], ipaddress.IPv4Network(network, strict=False)))
    return routes


def _golden_disk(connection: Any, guest: Guest, *, keep_images: bool) -> GoldenDisk:
    pool_path = ""
    if keep_images:
        pool = next((p for p in connection.listAllStoragePools() if p.name() == guest.pool), None)
        present = set(pool.listVolumes()) if pool is not None and pool.isActive() else set()
        missing = {guest.volume, guest.kernel_volume, guest.initrd_volume} - present
        if pool is None or missing:
            raise PreflightError(
                f'the golden disk is not in libvirt\'s pool "{guest.pool}"'
                f" ({', '.join(sorted(missing))} missing): run `make build` first"
            )
        found = re.search(r"<path>([^<]+)</path>", pool.XMLDesc())
        pool_path = found[1] if found else ""
    else:
        for file in (guest.disk, guest.kernel, guest.initrd):
            if not file.is_file():
                raise PreflightError(f"the guest's file {file} is missing: run `make build` first")
    return GoldenDisk(
        key=guest.key,
        pool=guest.pool,
        pool_path=pool_path,
        volume=guest.volume,
        kernel_volume=guest.kernel_volume,
        initrd_volume=guest.initrd_volume,
        disk_file=str(guest.disk),
        kernel_file=str(guest.kernel),
        initrd_file=str(guest.initrd),
        cmdline=guest.cmdline,
    )


def clear_leftovers(host: LibvirtHost, stack: str, prefix: str, names: str = "") -> None:
    """Have what a killed `up` left in the daemon removed before its name is used again.

    Just before it creates something the engine asks: so its state has nothing of that name. If the
    daemon does, under this stack's prefix, an earlier engine died between the daemon's answer and
    writing its state. The data disk is left alone: it comes after the credentials that its content
    goes with, and upstream's plugin goes on with the one that is there.
    """

    def domain(args: pulumi.ResourceHookArgs) -> None:
        found = _by_name(host.connection().listAllDomains(), args)
        if found is None:
            return
        if not _domain_is_ours(found, stack):
            raise PreflightError(f'a domain "{found.name()}" not of this stack is in the way')
        _warn("domain", found)
        if found.isActive():
            found.destroy()
        found.undefine()

    def network(args: pulumi.ResourceHookArgs) -> None:
        found = _by_name(host.connection().listAllNetworks(), args)
        if found is not None and found.name().startswith(prefix):
            _warn("network", found)
            if found.isActive():
                found.destroy()
            found.undefine()

    def pool(args: pulumi.ResourceHookArgs) -> None:
        found = _by_name(host.connection().listAllStoragePools(), args)
        if found is None or not found.name().startswith(prefix):
            return
        if found.isActive() and found.listVolumes():
            # Volumes come after the pool is in the state: a killed run leaves an empty one.
            raise PreflightError(
                f'a pool "{found.name()}" with volumes ({", ".join(sorted(found.listVolumes()))})'
                " is there, of which this stack's state knows nothing: remove it or use another"
                " stack name"
            )
        _warn("pool", found)
        if found.isActive():
            found.destroy()
        found.undefine()

    def volume(args: pulumi.ResourceHookArgs) -> None:
        inputs = args.new_inputs or {}
        pools = {p.name(): p for p in host.connection().listAllStoragePools()}
        pool = pools.get(str(inputs.get("pool", "")))
        if pool is None or not pool.isActive() or inputs["name"] == f"{prefix}-data.qcow2":
            return
        # libvirt knows the pool's volumes: no refresh, which the plugin's work on others forbids.
        found = _by_name(pool.listAllVolumes(), args)
        if found is not None and found.name().startswith(prefix):
            _warn("volume", found)
            _delete_volume(found)

    hosts.before_create(
        {
            "libvirt:index/domain:Domain": domain,
            "libvirt:index/network:Network": network,
            "libvirt:index/pool:Pool": pool,
            "libvirt:index/volume:Volume": volume,
            "libvirt:index/cloudInitDisk:CloudInitDisk": volume,
        },
        names,
    )


def _delete_volume(volume: Any) -> None:
    """Delete a volume, waiting while the pool is at work on another one."""
    import libvirt

    deadline_s = time.monotonic() + _BUSY_POOL_S
    while True:
        try:
            volume.delete()
            return
        except libvirt.libvirtError as error:
            if "asynchronous jobs" not in str(error) or time.monotonic() > deadline_s:
                raise
            time.sleep(0.1)


def _by_name(objects: list[Any], args: pulumi.ResourceHookArgs) -> Any | None:
    name = (args.new_inputs or {}).get("name")
    return next((o for o in objects if o.name() == name), None)


def _warn(kind: str, found: Any) -> None:
    pulumi.log.warn(f"removing the {kind} {found.name()}, left by a run that was killed")
