"""The virtual machine's platform: a storage pool, a private network, the disk it starts from."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network

import pulumi
import pulumi_libvirt as libvirt

from components import base

#: Where the pools of all stacks lie: a place that libvirt's security drivers let QEMU read.
POOLS_DIR = "/var/lib/libvirt/triptych"


@dataclass(frozen=True, kw_only=True)
class GoldenDisk:
    """The disk that every machine starts from, as libvirt's cache has it and as files.

    ``cmdline`` is what its kernel is started with.
    """

    key: str
    pool: str
    pool_path: str
    volume: str
    kernel_volume: str
    initrd_volume: str
    disk_file: str
    kernel_file: str
    initrd_file: str
    cmdline: str


@dataclass(frozen=True, kw_only=True)
class PlatformArgs(base.PlatformArgs):
    """Arguments of ``Platform``."""

    subnet: IPv4Network
    golden: GoldenDisk


class Platform(pulumi.ComponentResource):
    """A pool and a NAT network of the stack's own, and the machine's root disk on the golden one.

    Output: ``network``, the network's name.
    """

    network: pulumi.Output[str]

    def __init__(
        self, name: str, args: PlatformArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(f"{base.TOKEN_PACKAGE}:vm:Platform", name, None, opts)
        self.stack = args.stack
        self.prefix = args.prefix
        # Names are fixed: two of the same can't be there at once.
        fixed = pulumi.ResourceOptions(parent=self, delete_before_replace=True)
        pool = libvirt.Pool(
            f"{name}-pool",
            name=args.prefix,
            type="dir",
            # `path` would do too, but upstream's plugin warns about it.
            target=libvirt.PoolTargetArgs(path=f"{POOLS_DIR}/{args.stack}"),
            # What is in use of the file system changes by itself; after a refresh that is no
            # reason to make another pool.
            opts=pulumi.ResourceOptions.merge(
                fixed,
                pulumi.ResourceOptions(ignore_changes=["allocation", "available", "capacity"]),
            ),
        )
        network = libvirt.Network(
            f"{name}-network",
            name=args.prefix,
            mode="nat",
            domain=f"{args.prefix}.test",
            addresses=[str(args.subnet)],
            dhcp=libvirt.NetworkDhcpArgs(enabled=True),
            dns=libvirt.NetworkDnsArgs(enabled=True, local_only=True),
            autostart=False,
            opts=fixed,
        )
        self.cmdline = args.golden.cmdline
        self.pool = pool.name
        self.network_id = network.id
        self.network = network.name
        self._disks(name, args, fixed)
        self.register_outputs({"network": self.network})

    def _disks(self, name: str, args: PlatformArgs, opts: pulumi.ResourceOptions) -> None:
        golden = args.golden
        # The key is part of the name, so that another golden disk gives another volume, and with
        # it another machine: under the same name the machine would not notice.
        root_name = f"{args.prefix}-root-{golden.key}.qcow2"
        if args.keep_images:
            root = libvirt.Volume(
                f"{name}-root",
                name=root_name,
                pool=self.pool,
                base_volume_name=golden.volume,
                base_volume_pool=golden.pool,
                format="qcow2",
                opts=opts,
            )
            self.kernel = pulumi.Output.from_input(f"{golden.pool_path}/{golden.kernel_volume}")
            self.initrd = pulumi.Output.from_input(f"{golden.pool_path}/{golden.initrd_volume}")
        else:
            base_disk, kernel, initrd = (
                libvirt.Volume(
                    f"{name}-{kind}",
                    name=f"{args.prefix}-{kind}-{golden.key}{suffix}",
                    pool=self.pool,
                    source=source,
                    format=format_,
                    opts=opts,
                )
                for kind, suffix, source, format_ in (
                    ("base", ".qcow2", golden.disk_file, "qcow2"),
                    ("kernel", "", golden.kernel_file, "raw"),
                    ("initrd", "", golden.initrd_file, "raw"),
                )
            )
            root = libvirt.Volume(
                f"{name}-root",
                name=root_name,
                pool=self.pool,
                base_volume_id=base_disk.id,
                format="qcow2",
                opts=opts,
            )
            self.kernel = kernel.id
            self.initrd = initrd.id
        self.root_disk_id = root.id
