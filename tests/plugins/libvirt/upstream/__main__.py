"""The libvirt half of the program that was run with Pulumi's own plugin (libvirt 0.5.4).

`TTEST_PREFIX` and `TTEST_SUBNET` stand in for the recorded `real` and `10.91.0`; `V2=1` is the
changed program whose preview was recorded.
"""

import os

import pulumi
import pulumi_libvirt as libvirt

prefix, subnet = os.environ["TTEST_PREFIX"], os.environ["TTEST_SUBNET"]
changed = os.environ.get("V2") == "1"

provider = libvirt.Provider("l", uri="qemu:///system")
opts = pulumi.ResourceOptions(provider=provider)
pool = libvirt.Pool(
    "pool",
    name=f"{prefix}-pool",
    type="dir",
    path=f"/var/lib/libvirt/{prefix}-pool",
    opts=opts,
)
base = libvirt.Volume(
    "base",
    name=f"{prefix}-base.qcow2",
    pool=pool.name,
    source="./small.qcow2",
    format="qcow2",
    opts=opts,
)
root = libvirt.Volume(
    "root",
    name=f"{prefix}-root.qcow2",
    pool=pool.name,
    base_volume_id=base.id,
    size=134217728,
    opts=opts,
)
data = libvirt.Volume(
    "data",
    name=f"{prefix}-data.qcow2",
    pool=pool.name,
    size=67108864,
    format="qcow2",
    opts=opts,
)
net = libvirt.Network(
    "net",
    name=f"{prefix}-net",
    mode="nat",
    addresses=[f"{subnet}.0/24"],
    autostart=True,
    domain="real.local",
    dhcp=libvirt.NetworkDhcpArgs(enabled=True),
    dns=libvirt.NetworkDnsArgs(
        enabled=True,
        local_only=True,
        hosts=[libvirt.NetworkDnsHostArgs(ip=f"{subnet}.10", hostname="shop")],
    ),
    opts=opts,
)
disk = libvirt.CloudInitDisk(
    "ci",
    name=f"{prefix}-ci.iso",
    pool=pool.name,
    user_data="#cloud-config\n{}\n",
    meta_data="instance-id: i-1\n",
    network_config="version: 2\n",
    opts=opts,
)
domain = libvirt.Domain(
    "vm",
    name=f"{prefix}-vm",
    memory=768 if changed else 512,
    vcpu=1,
    type="qemu",
    machine="pc",
    cpu=libvirt.DomainCpuArgs(mode="maximum"),
    qemu_agent=False,
    cloudinit=disk.id,
    autostart=False,
    disks=[
        libvirt.DomainDiskArgs(volume_id=root.id),
        libvirt.DomainDiskArgs(volume_id=data.id),
    ],
    network_interfaces=[
        libvirt.DomainNetworkInterfaceArgs(
            network_id=net.id,
            mac="52:54:00:AA:BB:CC",
            addresses=[f"{subnet}.10"],
            hostname="shop",
            wait_for_lease=False,
        )
    ],
    consoles=[libvirt.DomainConsoleArgs(type="pty", target_port="0", target_type="serial")],
    opts=opts,
)
pulumi.export("dom", domain.id)
