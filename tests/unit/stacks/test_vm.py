"""The VM's stack under mocks."""

from __future__ import annotations

import json
from pathlib import Path

import pulumi
import pytest
from lxml import etree

from shop import catalogue
from shop.model import Service
from stacks.artefacts import ArtefactsError
from tests.support.pulumi_mocks import GUEST_KEYS, STRIPE_KEY, Build, Deployed
from tests.support.stack_resources import cloud_config


class TestVm:
    def test_one_domain_of_the_budget(self, vm: Deployed) -> None:
        (domain,) = vm.of("Domain")
        assert domain.inputs["memory"] == catalogue.BUDGET.memory_mib
        assert domain.inputs["vcpu"] == int(catalogue.BUDGET.cpus)
        assert domain.inputs["machine"] == "pc"
        assert domain.inputs["description"] == "triptych.stack=unit"

    @pytest.mark.parametrize(
        ("accelerator", "typ", "cpu"),
        [("kvm", "kvm", "host-passthrough"), ("tcg", "qemu", "maximum")],
    )
    def test_accelerator(self, build_stack: Build, accelerator: str, typ: str, cpu: str) -> None:
        deployed = build_stack("vm", vm_accelerator=accelerator)
        (domain,) = deployed.of("Domain")
        assert domain.inputs["type"] == typ
        assert domain.inputs["cpu"] == {"mode": cpu}
        assert deployed.outputs["accelerator"] == accelerator

    def test_address_is_reserved_and_not_drift(self, vm: Deployed) -> None:
        (domain,) = vm.of("Domain")
        (interface,) = domain.inputs["networkInterfaces"]
        assert interface["addresses"] == ["10.99.0.10"]
        assert interface["waitForLease"] is False
        assert interface["mac"] == interface["mac"].upper()
        assert domain.ignore_changes == ["networkInterfaces[0].addresses"]

    def test_new_files_give_a_new_machine(self, vm: Deployed) -> None:
        (domain,) = vm.of("Domain")
        assert {"cloudinit", "kernel", "initrd"} <= set(domain.replace_on_changes)

    def test_the_shapes_golden_disk_is_in_the_root_disks_name(
        self, vm: Deployed, shape: str
    ) -> None:
        root = vm.resources["platform-root"].inputs
        key = GUEST_KEYS[shape]
        assert root["name"] == f"triptych-unit-root-{key}.qcow2"
        assert root["baseVolumePool"] == "triptych-cache"
        assert root["baseVolumeName"] == f"guest-{key}.qcow2"
        assert vm.outputs["inspect"]["images"] == {"guest": f"guest-{key}.qcow2"}

    def test_kept_images_boot_from_the_cache(self, vm: Deployed, shape: str) -> None:
        (domain,) = vm.of("Domain")
        key = GUEST_KEYS[shape]
        assert domain.inputs["kernel"] == f"/var/lib/libvirt/triptych/cache/vmlinuz-{key}"
        assert domain.inputs["initrd"] == f"/var/lib/libvirt/triptych/cache/initrd-{key}"

    def test_a_guest_that_is_not_built_is_one_line(
        self, build_stack: Build, artefacts_file: Path
    ) -> None:
        built = json.loads(artefacts_file.read_text())
        del built["guests"]["microservices"]
        artefacts_file.write_text(json.dumps(built))
        with pytest.raises(ArtefactsError, match='"microservices" is not built yet'):
            build_stack("vm", shape="microservices")

    def test_kernel_arguments_are_as_upstream_reads_them_back(self, build_stack: Build) -> None:
        (domain,) = build_stack("vm", vm_accelerator="kvm").of("Domain")
        assert domain.inputs["cmdlines"] == [
            {"root": "/dev/vda", "console": "ttyS0", "oops": "panic", "panic": "1"},
            {"_": "quiet rw"},
        ]

    def test_an_emulated_processor_does_not_speculate(self, build_stack: Build) -> None:
        (domain,) = build_stack("vm", vm_accelerator="tcg").of("Domain")
        valued, plain = domain.inputs["cmdlines"]
        assert valued["mitigations"] == "off"
        assert plain == {"_": "no5lvl quiet rw"}

    def test_cold_brings_its_own_disk_and_kernel(self, build_stack: Build) -> None:
        deployed = build_stack("vm", keep_images=False)
        sources = {
            v.inputs["source"]: v.name for v in deployed.of("Volume") if "source" in v.inputs
        }
        assert set(sources) == {
            "/cache/guest-d15c0.qcow2",
            "/cache/vmlinuz-d15c0",
            "/cache/initrd-d15c0",
        }
        (domain,) = deployed.of("Domain")
        assert domain.inputs["kernel"] == "platform-kernel-id"

    def test_console_goes_to_a_file_and_there_is_no_display(self, vm: Deployed) -> None:
        (domain,) = vm.of("Domain")
        sheet = etree.XSLT(etree.XML(domain.inputs["xml"]["xslt"].encode()))
        devices = (
            "<domain><devices><disk/><console type='pty'><target type='serial' port='0'/></console>"
            "<graphics type='spice'/><video/><channel type='unix'/><rng/></devices></domain>"
        )
        result = sheet(etree.XML(devices)).getroot()
        found = result.find("devices")
        assert found is not None
        assert [e.tag for e in found] == ["disk", "serial", "serial", "rng"]
        source = result.find("devices/serial[@type='file']/source")
        assert source is not None
        assert source.get("path") == vm.outputs["inspect"]["console_log"]

    def test_a_second_serial_port_is_for_questions_to_the_guest(self, vm: Deployed) -> None:
        (domain,) = vm.of("Domain")
        sheet = etree.XSLT(etree.XML(domain.inputs["xml"]["xslt"].encode()))
        result = sheet(etree.XML("<domain><devices><console/></devices></domain>")).getroot()
        ports = {
            serial.get("type"): target.get("port")
            for serial in result.findall("devices/serial")
            for target in serial.findall("target")
        }
        # The probe asks by libvirt's name for it, serial1.
        assert ports == {"file": "0", "pty": "1"}

    def test_cloud_init_writes_what_differs_between_deployments(
        self, vm: Deployed, services: dict[str, Service]
    ) -> None:
        files = {f["path"]: f for f in cloud_config(vm)["write_files"]}
        assert len(files) == len(cloud_config(vm)["write_files"])
        secrets = {s.name for service in services.values() for s in service.secrets}
        expected = {f"/etc/triptych/secrets/{name}" for name in secrets}
        own = set(services) - set(catalogue.SURROUNDINGS)
        expected |= {f"/etc/triptych/env/{name}" for name in own}
        assert set(files) == expected
        for path, file in files.items():
            assert file["owner"] == "root:root"
            assert file["permissions"] == ("0600" if "secrets" in path else "0644")
        assert files["/etc/triptych/secrets/stripe_api_key"]["content"] == STRIPE_KEY

    def test_cloud_init_is_secret_as_a_whole(self, vm: Deployed) -> None:
        (disk,) = vm.of("CloudInitDisk")
        assert {"userData", "metaData"} <= disk.secret_inputs

    def test_instance_id_follows_the_content(self, build_stack: Build) -> None:
        def meta_data(**changes: object) -> str:
            (disk,) = build_stack("vm", **changes).of("CloudInitDisk")
            text: str = disk.inputs["metaData"]
            return text

        assert meta_data() == meta_data()
        assert "dsmode: local\n" in meta_data()
        other = pulumi.Output.secret("sk_test_another1")
        assert meta_data() != meta_data(stripe_api_key=other)

    def test_ssh_key(self, build_stack: Build, vm: Deployed) -> None:
        assert "ssh_authorized_keys" not in cloud_config(vm)
        key = "ssh-ed25519 AAAAC3Nza me@host"
        assert cloud_config(build_stack("vm", ssh_public_key=key))["ssh_authorized_keys"] == [key]
