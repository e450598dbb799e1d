"""The virtual machine itself: what cloud-init is told, and the domain."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_libvirt as libvirt

from components import base
from components.vm.guest_files import Files
from components.vm.platform import Platform
from shop import catalogue

#: The start of a domain's description; with the stack's name it says whose the domain is.
OWNER_MARK = "triptych.stack="
_CONSOLE_DIR = "/var/log/libvirt/qemu"

#: A kernel that fails starts the machine again, as `restart: unless-stopped` does a container. It
#: is not far-fetched: emulation by QEMU before 8.1 now and then trips over a kernel that patches
#: its own code with two CPUs at work ("Oops: int3"), and the machine would stand still for ever.
_RESTART_ON_PANIC = "oops=panic panic=1"

#: What a processor that QEMU plays pays for and has no use of: it does not speculate, so there is
#: nothing to be kept from (a sixth of a start's CPU with the next), and a fifth level of page
#: tables is for more memory than 128 TiB.
_IF_EMULATED = "mitigations=off no5lvl"

#: Upstream's plugin knows no console that is a file, and gives every domain a SPICE display that
#: listens on the host. It does take a stylesheet for the domain's XML: the console's text goes to a
#: file, where it can be read at any time (the guest's start-up marks are in it), and there is no
#: display. `append="off"`: a restarted machine starts its file anew. On a second serial port the
#: guest answers the host's question what each service takes (`triptych-report` in the guest).
_STYLESHEET = """<?xml version="1.0"?>
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
  <xsl:output omit-xml-declaration="yes" indent="yes"/>
  <xsl:template match="@*|node()">
    <xsl:copy><xsl:apply-templates select="@*|node()"/></xsl:copy>
  </xsl:template>
  <xsl:template match="/domain/devices/console">
    <serial type="file">
      <source path="{console_log}" append="off"/>
      <target type="isa-serial" port="0"/>
    </serial>
    <serial type="pty">
      <target type="isa-serial" port="1"/>
    </serial>
  </xsl:template>
  <xsl:template match="/domain/devices/graphics"/>
  <xsl:template match="/domain/devices/video"/>
  <xsl:template match="/domain/devices/channel"/>
</xsl:stylesheet>
"""


@dataclass(frozen=True, kw_only=True)
class MachineArgs:
    """Arguments of ``Machine``: ``files`` are cloud-init's, ``accelerator`` is kvm or tcg."""

    platform: Platform
    data_disk_id: pulumi.Input[str]
    files: Files
    address: str
    accelerator: str
    ssh_public_key: str | None


class Machine(pulumi.ComponentResource):
    """One domain with the golden disk, the data disk and a cloud-init disk.

    Outputs: ``domain``, its name; ``console_log``, the host's file with its console's text.
    """

    domain: pulumi.Output[str]
    console_log: pulumi.Output[str]

    def __init__(
        self, name: str, args: MachineArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(f"{base.TOKEN_PACKAGE}:vm:Machine", name, None, opts)
        platform = args.platform
        fixed = pulumi.ResourceOptions(parent=self, delete_before_replace=True)
        cloud_config = pulumi.Output.json_dumps(_cloud_config(args), indent=1)
        user_data: pulumi.Output[str] = pulumi.Output.secret(
            pulumi.Output.concat("#cloud-config\n", cloud_config, "\n")
        )
        cloud_init = libvirt.CloudInitDisk(
            f"{name}-cloud-init",
            name=f"{platform.prefix}-cloud-init.iso",
            pool=platform.pool,
            user_data=user_data,
            meta_data=pulumi.Output.secret(user_data.apply(_meta_data(platform.prefix))),
            opts=fixed,
        )
        console_log = f"{_CONSOLE_DIR}/{platform.prefix}-console.log"
        emulated = "" if args.accelerator == "kvm" else _IF_EMULATED
        domain = libvirt.Domain(
            f"{name}-domain",
            name=platform.prefix,
            description=f"{OWNER_MARK}{platform.stack}",
            type="kvm" if args.accelerator == "kvm" else "qemu",
            # The cloud-init disk is an IDE CD-ROM, which q35 does not have.
            machine="pc",
            arch="x86_64",
            vcpu=catalogue.MACHINE.vcpus,
            memory=catalogue.MACHINE.memory_mib,
            cpu=libvirt.DomainCpuArgs(
                mode="host-passthrough" if args.accelerator == "kvm" else "maximum"
            ),
            kernel=platform.kernel,
            initrd=platform.initrd,
            cmdlines=kernel_arguments(f"{platform.cmdline} {_RESTART_ON_PANIC} {emulated}"),
            disks=[
                libvirt.DomainDiskArgs(volume_id=platform.root_disk_id),
                libvirt.DomainDiskArgs(volume_id=args.data_disk_id),
            ],
            cloudinit=cloud_init.id,
            network_interfaces=[
                libvirt.DomainNetworkInterfaceArgs(
                    network_id=platform.network_id,
                    mac=mac_address(platform.prefix),
                    hostname="shop",
                    addresses=[args.address],
                    # Upstream's waiting fails in several ways (provider issues 1091, 1047, 710),
                    # and would be counted as ours: the probe asks the shop itself.
                    wait_for_lease=False,
                )
            ],
            consoles=[libvirt.DomainConsoleArgs(type="pty", target_type="serial", target_port="0")],
            xml=libvirt.DomainXmlArgs(xslt=_STYLESHEET.format(console_log=console_log)),
            qemu_agent=False,
            autostart=False,
            running=True,
            opts=pulumi.ResourceOptions.merge(
                fixed,
                pulumi.ResourceOptions(
                    # Upstream reads no address back where it does not wait for a lease, and would
                    # add it in each preview; the reservation in the network is made on creation.
                    ignore_changes=["networkInterfaces[0].addresses"],
                    # cloud-init reads its disk when the machine starts; swapping the disk under a
                    # running one, as upstream does, changes nothing inside. The other two it
                    # would change in its state alone.
                    replace_on_changes=["cloudinit", "kernel", "initrd"],
                ),
            ),
        )
        self.domain = domain.name
        self.console_log = pulumi.Output.from_input(console_log)
        self.register_outputs({"domain": self.domain, "console_log": self.console_log})


def mac_address(prefix: str) -> str:
    """Return a MAC address for the stack: always the same, in QEMU's range, upper case.

    Upper case, as upstream's plugin makes it so and would otherwise see a change.
    """
    digest = hashlib.sha256(prefix.encode()).digest()
    return "52:54:00:" + ":".join(f"{byte:02X}" for byte in digest[:3])


def kernel_arguments(cmdline: str) -> list[dict[str, str]]:
    """Return a kernel command line as upstream's plugin reads it back, else it sees a change.

    Words with a value go into one dictionary, the rest, sorted, into a last one under ``_``.
    """
    words = cmdline.split()
    valued = dict(word.split("=", 1) for word in words if "=" in word)
    if len(valued) != sum("=" in word for word in words):
        raise ValueError(f"a kernel argument is given twice: {cmdline}")
    plain = " ".join(sorted(word for word in words if "=" not in word))
    return [*([valued] if valued else []), *([{"_": plain}] if plain else [])]


def _cloud_config(args: MachineArgs) -> dict[str, Any]:
    config: dict[str, Any] = {"write_files": list(args.files.values())}
    if args.ssh_public_key:
        config["ssh_authorized_keys"] = [args.ssh_public_key]
    return config


def _meta_data(prefix: str) -> Any:
    def render(user_data: str) -> str:
        # cloud-init does its work once per instance id: other content, another instance. The
        # guest's cloud-init is its local stage alone, hence `dsmode`.
        digest = hashlib.sha256(user_data.encode()).hexdigest()[:16]
        return f"dsmode: local\ninstance-id: {prefix}-{digest}\n"

    return render
