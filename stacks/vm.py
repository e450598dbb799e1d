"""The shop in a virtual machine: a pool, a network, one domain with every service as a unit."""

from __future__ import annotations

import pulumi
import pulumi_libvirt as libvirt

from components.credentials import Credentials, CredentialsArgs
from components.vm.datastore import Datastore, DatastoreArgs
from components.vm.gateway import Gateway, GatewayArgs
from components.vm.machine import Machine, MachineArgs
from components.vm.platform import Platform, PlatformArgs
from components.vm.workload import Workload, WorkloadArgs
from settings import Settings
from shop import catalogue
from shop.model import Limits
from stacks import libvirt_host, parts
from stacks.artefacts import Artefacts
from stacks.outputs import StackOutputs

#: The machine's place in its subnet: clear of the host's own address, the first.
_HOST_NUMBER = 10


def build(settings: Settings) -> StackOutputs:
    """Declare the stack and return its outputs."""
    names = settings.names
    shop = parts.split(catalogue.services(settings.shape))
    artefacts = Artefacts.load()
    guest = artefacts.require_guest(settings.shape)
    host = libvirt_host.LibvirtHost(settings.libvirt_uri)
    golden = libvirt_host.check(
        host,
        stack=settings.stack,
        prefix=settings.prefix,
        subnet=settings.vm_subnet,
        guest=guest,
        keep_images=settings.keep_images,
    )
    libvirt_host.clear_leftovers(host, settings.stack, settings.prefix, names)
    parts.warn_if_outdated(artefacts, (f"guest-{settings.shape}",))
    accelerator = parts.accelerator(settings.vm_accelerator)
    address = str(settings.vm_subnet.network_address + _HOST_NUMBER)

    provider = libvirt.Provider(f"{names}libvirt", uri=settings.libvirt_uri)
    opts = pulumi.ResourceOptions(providers=[provider])
    credentials = Credentials(
        f"{names}credentials",
        CredentialsArgs(
            dns_names=parts.DNS_NAMES, ip_addresses=parts.certificate_addresses(address)
        ),
    )
    secrets = {**credentials.secret_files(), "stripe_api_key": settings.stripe_api_key}
    platform = Platform(
        f"{names}platform",
        PlatformArgs(
            stack=settings.stack,
            prefix=settings.prefix,
            keep_images=settings.keep_images,
            subnet=settings.vm_subnet,
            golden=golden,
        ),
        opts,
    )
    datastore = Datastore(
        f"{names}datastore",
        DatastoreArgs(platform=platform, services=shop.datastores, secrets=secrets),
        # The data disk must never be older than the password in it: after a run that was killed,
        # the next one finds the disk and goes on with it.
        pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[credentials])),
    )
    workload = Workload(
        f"{names}workload",
        WorkloadArgs(
            platform=platform,
            services=shop.workload,
            secrets=secrets,
            environment=parts.environment(settings, artefacts, shop.workload),
        ),
        opts,
    )
    gateway = Gateway(
        f"{names}gateway",
        GatewayArgs(
            platform=platform,
            services=(shop.gateway,),
            secrets=secrets,
            address=address,
            port=shop.gateway.port,
        ),
        opts,
    )
    machine = Machine(
        f"{names}machine",
        MachineArgs(
            platform=platform,
            data_disk_id=datastore.data_disk_id,
            files={**datastore.files, **workload.files, **gateway.files},
            address=address,
            accelerator=accelerator,
            ssh_public_key=settings.ssh_public_key,
        ),
        opts,
    )
    return StackOutputs(
        model="vm",
        shape=settings.shape,
        storefront_url=gateway.url,
        ca_certificate=credentials.ca_certificate,
        limits=Limits(catalogue.MACHINE.memory_mib, float(catalogue.MACHINE.vcpus)),
        prefix=settings.prefix,
        accelerator=accelerator,
        inspect={
            "libvirt_uri": settings.libvirt_uri,
            "domain": machine.domain,
            "pool": platform.pool,
            "network": platform.network,
            "address": address,
            "console_log": machine.console_log,
            "images": {"guest": guest.volume if settings.keep_images else guest.disk.name},
        },
    )
