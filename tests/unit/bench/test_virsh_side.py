"""The machine as virsh gets it."""

from __future__ import annotations

import ipaddress
from pathlib import Path

from bench import (
    virsh_side,
)

DOMAIN = """<domain type='qemu'><name>triptych-bench-vm</name><uuid>u</uuid><devices>
<disk type='file' device='disk'><source file='/p/triptych-bench-vm-root-abc.qcow2'/></disk>
<disk type='volume' device='disk'><source pool='p' volume='triptych-bench-vm-data.qcow2'/></disk>
<disk type='file' device='cdrom'><source file='/p/triptych-bench-vm-cloud-init.iso'/></disk>
<interface type='network'><mac address='52:54:00:aa:aa:aa'/><source network='triptych-bench-vm'/>
</interface><serial type='file'><source path='/c/triptych-bench-vm-console.log'/></serial>
</devices></domain>"""


def test_the_domain_is_the_same_but_for_names_and_places() -> None:
    files = virsh_side.Files.under(Path("/own"))
    text = virsh_side.adapt(DOMAIN, files)
    for path in (files.root, files.data, files.seed):
        assert text.count(f'<source file="{path}"/>') == 1
    assert "triptych-bench-vm" not in text
    assert "uuid" not in text
    assert 'type="volume"' not in text
    assert virsh_side.MAC in text
    assert f'<source network="{virsh_side.NAME}"/>' in text
    assert virsh_side.seed_of(DOMAIN) == Path("/p/triptych-bench-vm-cloud-init.iso")


def test_the_machines_address_is_reserved() -> None:
    subnet = ipaddress.IPv4Network("10.91.7.0/24")
    text = virsh_side.network_xml(subnet, "10.91.7.10")
    assert f"mac='{virsh_side.MAC}' name='shop' ip='10.91.7.10'" in text
    assert "address='10.91.7.1' netmask='255.255.255.0'" in text
