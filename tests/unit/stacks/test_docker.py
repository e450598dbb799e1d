"""The Docker stack under mocks."""

from __future__ import annotations

from typing import Any

from shop.model import Service
from tests.support.pulumi_mocks import Build, Deployed, Registered
from tests.support.stack_resources import service_containers


def labels_of(resource: Registered) -> dict[str, str]:
    return {entry["label"]: entry["value"] for entry in resource.inputs["labels"]}


class TestDocker:
    def test_each_service_has_a_container(
        self, docker: Deployed, services: dict[str, Service]
    ) -> None:
        assert set(service_containers(docker)) == set(services)

    def test_hardening(self, docker: Deployed, services: dict[str, Service]) -> None:
        for name, service in services.items():
            self.check_hardening(service_containers(docker)[name].inputs, service)

    def check_hardening(self, inputs: dict[str, Any], service: Service) -> None:
        assert inputs["readOnly"] is True
        assert inputs["user"] == f"{service.uid}:{service.uid}"
        assert inputs["capabilities"] == {"drops": ["ALL"]}
        assert inputs["securityOpts"] == ["no-new-privileges:true"]
        assert inputs["networkMode"] == "bridge"
        assert [n["aliases"] for n in inputs["networksAdvanced"]] == [[service.name]]
        for options in inputs.get("tmpfs", {}).values():
            assert {"noexec", "nosuid", "nodev", f"uid={service.uid}"} <= set(options.split(","))
        assert "privileged" not in inputs

    def test_limits_and_health(self, docker: Deployed, services: dict[str, Service]) -> None:
        for name, service in services.items():
            self.check_limits(service_containers(docker)[name].inputs, service)

    def check_limits(self, inputs: dict[str, Any], service: Service) -> None:
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

    def test_what_upstream_reads_back_is_stated(self, docker: Deployed) -> None:
        for container in docker.of("Container"):
            assert {
                "command",
                "logDriver",
                "logOpts",
                "memorySwap",
                "networkMode",
                "workingDir",
            } <= set(container.inputs), container.name

    def test_only_the_gateway_is_published(self, docker: Deployed) -> None:
        published = {n: c.inputs.get("ports") for n, c in service_containers(docker).items()}
        assert published.pop("gateway") == [
            {"internal": 8443, "external": 18443, "ip": "127.0.0.1", "protocol": "tcp"}
        ]
        assert not any(published.values())

    def test_containers_run_images_by_id(self, docker: Deployed) -> None:
        for container in docker.of("Container"):
            assert container.inputs["image"].startswith("sha256:"), container.name

    def test_everything_is_labelled(self, docker: Deployed) -> None:
        for kind in ("Container", "Network", "Volume"):
            for resource in docker.of(kind):
                assert labels_of(resource)["triptych.stack"] == "unit", resource.name

    def test_secrets_travel_through_a_carrier_that_never_runs(
        self, docker: Deployed, services: dict[str, Service]
    ) -> None:
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

    def test_each_service_sees_its_own_secrets_alone(self, docker: Deployed) -> None:
        seen: dict[str, list[str]] = {}
        for container in service_containers(docker).values():
            for volume in container.inputs.get("volumes", []):
                if volume["volumeName"].endswith("-secrets"):
                    seen.setdefault(volume["volumeName"], []).append(container.name)
        assert all(len(users) == 1 for users in seen.values())

    def test_services_do_not_wait_for_each_other(self, docker: Deployed) -> None:
        services = {c.name for c in service_containers(docker).values()}
        for container in service_containers(docker).values():
            assert not services & set(container.dependencies), container.name

    def test_keep_images(self, build_stack: Build) -> None:
        for keep in (True, False):
            images = build_stack("docker", keep_images=keep).of("RemoteImage")
            assert {i.inputs["keepLocally"] for i in images} == {keep}

    def test_another_registry(self, build_stack: Build) -> None:
        images = build_stack("docker", registry="registry.example:5000").of("RemoteImage")
        assert {i.inputs["name"].partition("/")[0] for i in images} == {"registry.example:5000"}

    def test_all_addresses_are_reached_by_the_loopback(self, build_stack: Build) -> None:
        from ipaddress import IPv4Address

        deployed = build_stack("docker", bind_address=IPv4Address("0.0.0.0"))
        assert deployed.outputs["storefront_url"] == "https://127.0.0.1:18443"
        assert deployed.resources["credentials"].inputs["ip_addresses"] == ["127.0.0.1"]

    def test_inspect(self, docker: Deployed, services: dict[str, Service]) -> None:
        inspect = docker.outputs["inspect"]
        assert set(inspect["containers"]) == set(services)
        assert inspect["network"] == "triptych-unit"
        assert set(inspect["volumes"]) == {v.inputs["name"] for v in docker.of("Volume")}
