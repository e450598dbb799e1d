"""The stacks under mocks: what is registered, how it is hardened, and that the models agree."""

from __future__ import annotations

import importlib
import json

import pulumi
import pytest
from lxml import etree
from pulumi.runtime import rpc

from shop import catalogue
from stacks.artefacts import ArtefactsError
from tests.unit.conftest import CLUSTER, DYNAMIC, GUEST_KEYS, SECRET_VALUES, STRIPE_KEY

MODELS = ("docker", "kubernetes", "vm")
COMPONENTS = {
    "platform": "Platform",
    "datastore": "Datastore",
    "workload": "Workload",
    "gateway": "Gateway",
}
SIDES = [(model, shape) for model in MODELS for shape in catalogue.SHAPES]


@pytest.fixture(params=catalogue.SHAPES)
def shape(request):
    return request.param


@pytest.fixture
def services(shape):
    return {s.name: s for s in catalogue.services(shape)}


@pytest.fixture
def docker(build_stack, shape):
    return build_stack("docker", shape=shape)


@pytest.fixture
def kubernetes(build_stack, shape):
    return build_stack("kubernetes", shape=shape)


@pytest.fixture
def vm(build_stack, shape):
    return build_stack("vm", shape=shape)


def service_containers(deployed):
    """Return the containers that run services, by the service's name."""
    return {
        c.inputs["name"].removeprefix("triptych-unit-"): c
        for c in deployed.of("Container")
        if c.inputs["mustRun"]
    }


def part_of(name):
    """Return the component that has a service."""
    if name in catalogue.DATASTORES:
        return "datastore"
    return "gateway" if name == catalogue.GATEWAY else "workload"


def labels_of(resource):
    return {entry["label"]: entry["value"] for entry in resource.inputs["labels"]}


class TestEveryModel:
    @pytest.mark.parametrize(("model", "shape"), SIDES)
    def test_tokens_are_fixed(self, build_stack, model, shape):
        components = {
            r.typ: r.name
            for r in build_stack(model, shape=shape).resources.values()
            if not r.custom
        }
        expected = {f"shop:{model}:{c}": m for m, c in COMPONENTS.items()}
        if model == "vm":
            expected["shop:vm:Machine"] = "machine"
        assert {t: n for t, n in components.items() if t.startswith("shop:")} == expected

    @pytest.mark.parametrize(("model", "shape"), SIDES)
    def test_children_belong_to_their_component(self, build_stack, model, shape):
        deployed = build_stack(model, shape=shape)
        top = {"triptych-unit", ""}
        for resource in deployed.resources.values():
            kind = resource.typ.partition("/")[0].partition(":")[0]
            own_provider = resource.typ == "pulumi:providers:kubernetes"
            if (
                kind in ("docker", "kubernetes", "libvirt")
                or resource.typ == CLUSTER
                or own_provider
            ):
                assert resource.parent_name in {*COMPONENTS, "machine"}, resource.name
                # Rule: a child's name starts with its component's.
                assert resource.name.startswith(resource.parent_name), resource.name
            else:
                assert resource.parent_name in top, resource.name

    @pytest.mark.parametrize(("model", "shape"), SIDES)
    def test_fixed_names_are_deleted_before_they_are_replaced(self, build_stack, model, shape):
        for resource in build_stack(model, shape=shape).resources.values():
            named = resource.inputs.get("name") and not resource.typ.endswith(":RemoteImage")
            if named and ":index/" in resource.typ:
                assert resource.delete_before_replace, resource.name

    @pytest.mark.parametrize(("model", "shape"), SIDES)
    def test_all_names_carry_the_prefix(self, build_stack, model, shape):
        for resource in build_stack(model, shape=shape).resources.values():
            if ":index/" in resource.typ and not resource.typ.endswith(":RemoteImage"):
                assert resource.inputs["name"].startswith("triptych-unit"), resource.name

    @pytest.mark.parametrize(("model", "shape"), SIDES)
    def test_components_register_their_public_outputs(self, build_stack, model, shape):
        deployed = build_stack(model, shape=shape)
        for module_name, class_name in COMPONENTS.items():
            module = importlib.import_module(f"components.{model}.{module_name}")
            cls = getattr(module, class_name)
            declared = set(cls.__annotations__)
            assert set(deployed.registered_outputs[module_name]) == declared, class_name

    @pytest.mark.parametrize(("model", "shape"), SIDES)
    def test_no_secret_is_a_plain_input(self, build_stack, model, shape):
        for resource in build_stack(model, shape=shape).resources.values():
            secrets = [*SECRET_VALUES.values(), STRIPE_KEY]
            for path, value in _leaves(resource.inputs):
                if isinstance(value, str) and any(s in value for s in secrets):
                    covered = any(path == p or path.startswith(p) for p in resource.secret_inputs)
                    assert covered, f"{resource.name}: {path}"

    @pytest.mark.parametrize(("model", "shape"), SIDES)
    def test_outputs_hold_no_secret(self, build_stack, model, shape):
        text = json.dumps(build_stack(model, shape=shape).outputs)
        for secret in (*SECRET_VALUES.values(), STRIPE_KEY):
            assert secret not in text

    @pytest.mark.parametrize(("model", "shape"), SIDES)
    def test_a_preview_registers_the_same_with_unknowns(self, build_stack, model, shape):
        preview = build_stack(model, shape=shape, preview=True)
        known = build_stack(model, shape=shape).resources.keys() | {"triptych-unit"}
        assert preview.resources.keys() | {"triptych-unit"} == known
        # What is known without any daemon is known in a preview already.
        assert not {"model", "shape", "storefront_url", "endpoints", "prefix"} & preview.unknown

    @pytest.mark.parametrize(("model", "shape"), SIDES)
    def test_leftovers_of_killed_runs_are_looked_for(self, build_stack, model, shape):
        deployed = build_stack(model, shape=shape)
        kinds = {
            "docker": ("Container", "Network"),
            "kubernetes": ("Cluster", "Container", "Network"),
            "vm": ("Domain", "Network", "Pool"),
        }[model]
        for kind in kinds:
            assert all(len(r.hooks) == 1 for r in deployed.of(kind)), kind

    @pytest.mark.parametrize(("model", "shape"), SIDES)
    def test_volumes_with_data_come_after_the_password(self, build_stack, model, shape):
        order = list(build_stack(model, shape=shape).resources)
        assert order.index("credentials") < order.index("datastore")
        for name in order:
            if name.startswith("datastore-"):
                assert order.index("datastore") < order.index(name)


class TestParity:
    def test_same_outputs(self, docker, kubernetes, vm):
        for other in (kubernetes, vm):
            assert list(docker.outputs) == list(other.outputs)
            for key in ("endpoints", "readiness_probe", "limits"):
                assert set(docker.outputs[key]) == set(other.outputs[key]), key

    @pytest.mark.parametrize(("module_name", "class_name"), COMPONENTS.items())
    def test_same_modules_classes_and_outputs(self, module_name, class_name):
        modules = [importlib.import_module(f"components.{m}.{module_name}") for m in MODELS]
        classes = [getattr(module, class_name) for module in modules]
        for cls in classes:
            assert cls.__annotations__ == classes[0].__annotations__
            assert issubclass(cls, pulumi.ComponentResource)

    @pytest.mark.parametrize(
        ("module_name", "class_name"), [c for c in COMPONENTS.items() if c[0] != "platform"]
    )
    def test_same_arguments(self, module_name, class_name):
        modules = [importlib.import_module(f"components.{m}.{module_name}") for m in MODELS]
        fields = [list(getattr(m, f"{class_name}Args").__dataclass_fields__) for m in modules]
        assert fields[0] == fields[1] == fields[2]

    def test_instances_cover_every_service(self, docker, kubernetes, vm, services):
        for deployed in (docker, kubernetes, vm):
            names = set()
            for component in ("datastore", "workload", "gateway"):
                names |= set(deployed.registered_outputs[component]["instances"])
            assert names == set(services)

    def test_all_tell_each_service_the_same_release(self, docker, kubernetes, vm, services):
        files = {f["path"]: f["content"] for f in _cloud_config(vm)["write_files"]}
        for name in services:
            release = f"re1ea5e-{name}"
            own = name not in catalogue.SURROUNDINGS
            told = {e for e in service_containers(docker)[name].inputs["envs"] if "RELEASE" in e}
            assert told == ({f"RELEASE={release}"} if own else set())
            config = kubernetes.resources.get(f"{part_of(name)}-{name}-env")
            data = config.inputs["data"] if config else {}
            assert data.get("RELEASE") == (release if own else None)
            assert (f'RELEASE="{release}"' in files.get(f"/etc/triptych/env/{name}", "")) == own

    @pytest.mark.parametrize("shape", sorted(catalogue.SHAPES))
    def test_all_tell_one_service_the_same_known_costs(self, build_stack, shape):
        cost = "held_mib=200 dead_s=2"
        (name,) = {s.name for s in catalogue.services(shape)} & {*catalogue.KNOWN_COSTS_TAKEN_BY}
        docker, kubernetes, vm = (
            build_stack(model, shape=shape, known_costs=cost) for model in MODELS
        )
        for service, container in service_containers(docker).items():
            told = f"KNOWN_COSTS={cost}" in container.inputs["envs"]
            assert told == (service == name)
        config = kubernetes.resources[f"workload-{name}-env"]
        assert config.inputs["data"]["KNOWN_COSTS"] == cost
        files = {f["path"]: f["content"] for f in _cloud_config(vm)["write_files"]}
        assert [path for path, text in files.items() if f'KNOWN_COSTS="{cost}"' in text] == [
            f"/etc/triptych/env/{name}"
        ]


class TestDocker:
    def test_each_service_has_a_container(self, docker, services):
        assert set(service_containers(docker)) == set(services)

    def test_hardening(self, docker, services):
        for name, service in services.items():
            self.check_hardening(service_containers(docker)[name].inputs, service)

    def check_hardening(self, inputs, service):
        assert inputs["readOnly"] is True
        assert inputs["user"] == f"{service.uid}:{service.uid}"
        assert inputs["capabilities"] == {"drops": ["ALL"]}
        assert inputs["securityOpts"] == ["no-new-privileges:true"]
        assert inputs["networkMode"] == "bridge"
        assert [n["aliases"] for n in inputs["networksAdvanced"]] == [[service.name]]
        for options in inputs.get("tmpfs", {}).values():
            assert {"noexec", "nosuid", "nodev", f"uid={service.uid}"} <= set(options.split(","))
        assert "privileged" not in inputs

    def test_limits_and_health(self, docker, services):
        for name, service in services.items():
            self.check_limits(service_containers(docker)[name].inputs, service)

    def check_limits(self, inputs, service):
        assert inputs["memory"] == inputs["memorySwap"] == service.limits.memory_mib
        assert float(inputs["cpus"]) == service.limits.cpus
        health = inputs["healthcheck"]
        assert health["tests"] == ["CMD", *service.health.command]
        # Upstream's plugin reads "60s" back as "1m0s" and would see a change.
        for key in ("interval", "timeout", "startPeriod"):
            assert 0 < int(health[key].removesuffix("s")) < 60
        assert inputs["restart"] == "unless-stopped"
        assert inputs["mustRun"] is True
        assert inputs["wait"] is False
        assert inputs["stopSignal"] == service.stop_signal
        assert inputs["stopTimeout"] == inputs["destroyGraceSeconds"] == service.stop_grace_s

    def test_what_upstream_reads_back_is_stated(self, docker):
        for container in docker.of("Container"):
            assert {
                "command",
                "logDriver",
                "logOpts",
                "memorySwap",
                "networkMode",
                "workingDir",
            } <= set(container.inputs), container.name

    def test_only_the_gateway_is_published(self, docker):
        published = {n: c.inputs.get("ports") for n, c in service_containers(docker).items()}
        assert published.pop("gateway") == [
            {"internal": 8443, "external": 18443, "ip": "127.0.0.1", "protocol": "tcp"}
        ]
        assert not any(published.values())

    def test_containers_run_images_by_id(self, docker):
        for container in docker.of("Container"):
            assert container.inputs["image"].startswith("sha256:"), container.name

    def test_everything_is_labelled(self, docker):
        for kind in ("Container", "Network", "Volume"):
            for resource in docker.of(kind):
                assert labels_of(resource)["triptych.stack"] == "unit", resource.name

    def test_secrets_travel_through_a_carrier_that_never_runs(self, docker, services):
        carriers = [c for c in docker.of("Container") if not c.inputs["mustRun"]]
        assert len(carriers) == sum(1 for s in services.values() if s.secrets)
        containers = service_containers(docker)
        for carrier in carriers:
            name = labels_of(carrier)["triptych.service"]
            assert carrier.inputs["start"] is False
            assert carrier.inputs["networkMode"] == "none"
            assert "readOnly" not in carrier.inputs
            uploads = carrier.inputs["uploads"]
            assert {u["file"] for u in uploads} == {s.path for s in services[name].secrets}
            assert {u["permissions"] for u in uploads} == {"0444"}
            service = containers[name]
            assert service.replace_with == [carrier.name]
            assert carrier.name in service.dependencies
            store = carrier.inputs["volumes"][0]["volumeName"]
            mounted = [v for v in service.inputs["volumes"] if v["volumeName"] == store]
            assert mounted == [
                {"volumeName": store, "containerPath": "/run/secrets", "readOnly": True}
            ]
            assert "uploads" not in service.inputs

    def test_each_service_sees_its_own_secrets_alone(self, docker):
        seen = {}
        for container in service_containers(docker).values():
            for volume in container.inputs.get("volumes", []):
                if volume["volumeName"].endswith("-secrets"):
                    seen.setdefault(volume["volumeName"], []).append(container.name)
        assert all(len(users) == 1 for users in seen.values())

    def test_services_do_not_wait_for_each_other(self, docker):
        services = {c.name for c in service_containers(docker).values()}
        for container in service_containers(docker).values():
            assert not services & set(container.dependencies), container.name

    def test_keep_images(self, build_stack):
        for keep in (True, False):
            images = build_stack("docker", keep_images=keep).of("RemoteImage")
            assert {i.inputs["keepLocally"] for i in images} == {keep}

    def test_another_registry(self, build_stack):
        images = build_stack("docker", registry="registry.example:5000").of("RemoteImage")
        assert {i.inputs["name"].partition("/")[0] for i in images} == {"registry.example:5000"}

    def test_all_addresses_are_reached_by_the_loopback(self, build_stack):
        from ipaddress import IPv4Address

        deployed = build_stack("docker", bind_address=IPv4Address("0.0.0.0"))
        assert deployed.outputs["storefront_url"] == "https://127.0.0.1:18443"
        assert deployed.resources["credentials"].inputs["ip_addresses"] == ["127.0.0.1"]

    def test_inspect(self, docker, services):
        inspect = docker.outputs["inspect"]
        assert set(inspect["containers"]) == set(services)
        assert inspect["network"] == "triptych-unit"
        assert set(inspect["volumes"]) == {v.inputs["name"] for v in docker.of("Volume")}


class TestVm:
    def test_one_domain_of_the_budget(self, vm):
        (domain,) = vm.of("Domain")
        assert domain.inputs["memory"] == catalogue.BUDGET.memory_mib
        assert domain.inputs["vcpu"] == int(catalogue.BUDGET.cpus)
        assert domain.inputs["machine"] == "pc"
        assert domain.inputs["description"] == "triptych.stack=unit"

    @pytest.mark.parametrize(
        ("accelerator", "typ", "cpu"),
        [("kvm", "kvm", "host-passthrough"), ("tcg", "qemu", "maximum")],
    )
    def test_accelerator(self, build_stack, accelerator, typ, cpu):
        deployed = build_stack("vm", vm_accelerator=accelerator)
        (domain,) = deployed.of("Domain")
        assert domain.inputs["type"] == typ
        assert domain.inputs["cpu"] == {"mode": cpu}
        assert deployed.outputs["accelerator"] == accelerator

    def test_address_is_reserved_and_not_drift(self, vm):
        (domain,) = vm.of("Domain")
        (interface,) = domain.inputs["networkInterfaces"]
        assert interface["addresses"] == ["10.99.0.10"]
        assert interface["waitForLease"] is False
        assert interface["mac"] == interface["mac"].upper()
        assert domain.ignore_changes == ["networkInterfaces[0].addresses"]

    def test_new_files_give_a_new_machine(self, vm):
        (domain,) = vm.of("Domain")
        assert {"cloudinit", "kernel", "initrd"} <= set(domain.replace_on_changes)

    def test_the_shapes_golden_disk_is_in_the_root_disks_name(self, vm, shape):
        root = vm.resources["platform-root"].inputs
        key = GUEST_KEYS[shape]
        assert root["name"] == f"triptych-unit-root-{key}.qcow2"
        assert root["baseVolumePool"] == "triptych-cache"
        assert root["baseVolumeName"] == f"guest-{key}.qcow2"
        assert vm.outputs["inspect"]["images"] == {"guest": f"guest-{key}.qcow2"}

    def test_kept_images_boot_from_the_cache(self, vm, shape):
        (domain,) = vm.of("Domain")
        key = GUEST_KEYS[shape]
        assert domain.inputs["kernel"] == f"/var/lib/libvirt/triptych/cache/vmlinuz-{key}"
        assert domain.inputs["initrd"] == f"/var/lib/libvirt/triptych/cache/initrd-{key}"

    def test_a_guest_that_is_not_built_is_one_line(self, build_stack, artefacts_file):
        built = json.loads(artefacts_file.read_text())
        del built["guests"]["microservices"]
        artefacts_file.write_text(json.dumps(built))
        with pytest.raises(ArtefactsError, match='"microservices" is not built yet'):
            build_stack("vm", shape="microservices")

    def test_kernel_arguments_are_as_upstream_reads_them_back(self, vm):
        (domain,) = vm.of("Domain")
        assert domain.inputs["cmdlines"] == [
            {"root": "/dev/vda", "console": "ttyS0", "oops": "panic", "panic": "1"},
            {"_": "quiet rw"},
        ]

    def test_cold_brings_its_own_disk_and_kernel(self, build_stack):
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

    def test_console_goes_to_a_file_and_there_is_no_display(self, vm):
        (domain,) = vm.of("Domain")
        sheet = etree.XSLT(etree.XML(domain.inputs["xml"]["xslt"].encode()))
        devices = (
            "<domain><devices><disk/><console type='pty'><target type='serial' port='0'/></console>"
            "<graphics type='spice'/><video/><channel type='unix'/><rng/></devices></domain>"
        )
        result = sheet(etree.XML(devices)).getroot()
        assert [e.tag for e in result.find("devices")] == ["disk", "serial", "serial", "rng"]
        source = result.find("devices/serial[@type='file']/source")
        assert source.get("path") == vm.outputs["inspect"]["console_log"]

    def test_a_second_serial_port_is_for_questions_to_the_guest(self, vm):
        (domain,) = vm.of("Domain")
        sheet = etree.XSLT(etree.XML(domain.inputs["xml"]["xslt"].encode()))
        result = sheet(etree.XML("<domain><devices><console/></devices></domain>")).getroot()
        ports = {
            serial.get("type"): serial.find("target").get("port")
            for serial in result.findall("devices/serial")
        }
        # The probe asks by libvirt's name for it, serial1.
        assert ports == {"file": "0", "pty": "1"}

    def test_cloud_init_writes_what_differs_between_deployments(self, vm, services):
        files = {f["path"]: f for f in _cloud_config(vm)["write_files"]}
        assert len(files) == len(_cloud_config(vm)["write_files"])
        secrets = {s.name for service in services.values() for s in service.secrets}
        expected = {f"/etc/triptych/secrets/{name}" for name in secrets}
        own = set(services) - set(catalogue.SURROUNDINGS)
        expected |= {f"/etc/triptych/env/{name}" for name in own}
        assert set(files) == expected
        for path, file in files.items():
            assert file["owner"] == "root:root"
            assert file["permissions"] == ("0600" if "secrets" in path else "0644")
        assert files["/etc/triptych/secrets/stripe_api_key"]["content"] == STRIPE_KEY

    def test_cloud_init_is_secret_as_a_whole(self, vm):
        (disk,) = vm.of("CloudInitDisk")
        assert {"userData", "metaData"} <= disk.secret_inputs

    def test_instance_id_follows_the_content(self, build_stack):
        def meta_data(**changes):
            (disk,) = build_stack("vm", **changes).of("CloudInitDisk")
            return disk.inputs["metaData"]

        assert meta_data() == meta_data()
        assert "dsmode: local\n" in meta_data()
        other = pulumi.Output.secret("sk_test_another1")
        assert meta_data() != meta_data(stripe_api_key=other)

    def test_ssh_key(self, build_stack, vm):
        assert "ssh_authorized_keys" not in _cloud_config(vm)
        key = "ssh-ed25519 AAAAC3Nza me@host"
        assert _cloud_config(build_stack("vm", ssh_public_key=key))["ssh_authorized_keys"] == [key]


class TestCredentialsResource:
    @pytest.mark.parametrize("model", MODELS)
    def test_certificate_names(self, build_stack, model):
        (resource,) = [r for r in build_stack(model).resources.values() if r.typ == DYNAMIC]
        assert "localhost" in resource.inputs["dns_names"]
        expected = ["127.0.0.1", "10.99.0.10"] if model == "vm" else ["127.0.0.1"]
        assert resource.inputs["ip_addresses"] == expected


def _cloud_config(deployed):
    (disk,) = deployed.of("CloudInitDisk")
    header, _, body = disk.inputs["userData"].partition("\n")
    assert header == "#cloud-config"
    return json.loads(body)


def _leaves(value, path=""):
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{path}[{index}]")
    elif value is not rpc.UNKNOWN:
        yield path, value
