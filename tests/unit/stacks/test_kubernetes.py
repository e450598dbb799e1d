"""The Kubernetes stack under mocks."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.client import models

from components.kubernetes import addons, platform
from shop import catalogue
from shop.model import Service
from stacks.artefacts import PROJECT_ROOT
from tests.support.pulumi_mocks import (
    CLUSTER,
    SECRET_VALUES,
    STRIPE_KEY,
    Build,
    Deployed,
    Registered,
)

EXISTING = {
    "cluster": "existing",
    "kubeconfig": "/home/me/.kube/config",
    "context": "mine",
    "registry": "registry.example:5000",
    "storefront_host": "shop.example.org",
    "ingress_class": "nginx",
    "ingress_namespace": "ingress-nginx",
    "storage_class": "fast",
}


@pytest.fixture
def deployed(built: Build, shape: str) -> Deployed:
    return built("kubernetes", shape)


@pytest.fixture
def existing(built: Build, shape: str) -> Deployed:
    return built("kubernetes", shape, **EXISTING)


def objects(
    deployed: Deployed, kind: str | None = None, *, added: bool = False
) -> list[Registered]:
    """Return the objects in the cluster, of a kind if given, with the add-ons' if asked for."""
    return [
        r
        for r in deployed.resources.values()
        if r.typ.startswith("kubernetes:")
        and (kind is None or r.typ.rpartition(":")[2] == kind)
        and (added or not r.name.startswith("platform-addon-"))
    ]


def by_service(deployed: Deployed, *kinds: str) -> dict[str, Registered]:
    """Return the objects of these kinds by the service that they belong to."""
    found: dict[str, Registered] = {}
    for kind in kinds:
        for resource in objects(deployed, kind):
            name = resource.inputs["metadata"]["labels"].get("app.kubernetes.io/name")
            if name:
                assert name not in found
                found[name] = resource
    return found


def workloads(deployed: Deployed) -> dict[str, Registered]:
    return by_service(deployed, "Deployment", "StatefulSet")


def pod_of(resource: Registered) -> dict[str, Any]:
    pod: dict[str, Any] = resource.inputs["spec"]["template"]["spec"]
    return pod


def container_of(resource: Registered) -> dict[str, Any]:
    container: dict[str, Any]
    (container,) = pod_of(resource)["containers"]
    return container


class TestWorkloads:
    def test_each_service_has_one(self, deployed: Deployed, services: dict[str, Service]) -> None:
        assert set(workloads(deployed)) == set(services)

    def test_those_with_data_are_stateful_sets(
        self, deployed: Deployed, services: dict[str, Service]
    ) -> None:
        stateful = {n for n, s in services.items() if s.data}
        assert set(by_service(deployed, "StatefulSet")) == stateful

    def test_restricted_pods(self, deployed: Deployed, services: dict[str, Service]) -> None:
        for name, resource in workloads(deployed).items():
            pod, container, uid = pod_of(resource), container_of(resource), services[name].uid
            assert pod["securityContext"] == {
                "runAsNonRoot": True,
                "runAsUser": uid,
                "runAsGroup": uid,
                "fsGroup": uid,
                "fsGroupChangePolicy": "OnRootMismatch",
                "seccompProfile": {"type": "RuntimeDefault"},
            }
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert pod["automountServiceAccountToken"] is False
            assert pod["enableServiceLinks"] is False
            for key in ("hostNetwork", "hostPID", "hostIPC"):
                assert key not in pod

    def test_accounts_without_a_token(
        self, deployed: Deployed, services: dict[str, Service]
    ) -> None:
        accounts = by_service(deployed, "ServiceAccount")
        assert set(accounts) == set(services)
        for name, account in accounts.items():
            assert account.inputs["automountServiceAccountToken"] is False
            assert pod_of(workloads(deployed)[name])["serviceAccountName"] == name

    def test_limits_and_requests(self, deployed: Deployed, services: dict[str, Service]) -> None:
        for name, resource in workloads(deployed).items():
            limits = services[name].limits
            resources = container_of(resource)["resources"]
            assert resources["limits"]["memory"] == f"{limits.memory_mib}Mi"
            # Memory is promised in full, of the CPU a part: the node's own pods need some too.
            assert resources["requests"]["memory"] == resources["limits"]["memory"]
            assert millis(resources["limits"]["cpu"]) == pytest.approx(limits.cpus * 1000)
            assert millis(resources["requests"]["cpu"]) < millis(resources["limits"]["cpu"])

    def test_probes(self, deployed: Deployed, services: dict[str, Service]) -> None:
        for name, resource in workloads(deployed).items():
            container, health = container_of(resource), services[name].health
            startup, ready, live = (
                container[f"{kind}Probe"] for kind in ("startup", "readiness", "liveness")
            )
            for probe in (startup, ready, live):
                assert probe["timeoutSeconds"] == health.timeout_s
                assert len({"exec", "httpGet", "tcpSocket"} & set(probe)) == 1
            assert startup["periodSeconds"] == 1
            assert ready["periodSeconds"] == health.interval_s
            assert live["periodSeconds"] > ready["periodSeconds"]
            assert ready["failureThreshold"] == health.retries
            if health.connects:
                assert live["tcpSocket"] == {"port": "main"}
            elif health.path:
                # It joins when it is ready; later its stores' absence is its own to tell.
                assert startup["httpGet"]["path"] == health.ready_path
                assert ready["httpGet"]["path"] == live["httpGet"]["path"] == health.path
            else:
                assert live["exec"]["command"] == list(health.command)

    def test_rolling_updates_lose_nobody(
        self, deployed: Deployed, services: dict[str, Service]
    ) -> None:
        for name, resource in by_service(deployed, "Deployment").items():
            strategy = resource.inputs["spec"]["strategy"]
            assert strategy["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
            drain_s = container_of(resource)["lifecycle"]["preStop"]["sleep"]["seconds"]
            grace_s = pod_of(resource)["terminationGracePeriodSeconds"]
            assert drain_s > 0
            assert grace_s == drain_s + services[name].stop_grace_s

    def test_spread_over_nodes(self, deployed: Deployed) -> None:
        for name, resource in workloads(deployed).items():
            (spread,) = pod_of(resource)["topologySpreadConstraints"]
            assert spread["topologyKey"] == "kubernetes.io/hostname"
            assert spread["labelSelector"]["matchLabels"] == {"app.kubernetes.io/name": name}

    def test_what_is_started(self, deployed: Deployed, services: dict[str, Service]) -> None:
        for name, resource in workloads(deployed).items():
            container, service = container_of(resource), services[name]
            assert container["command"] == list(service.command)
            assert container["image"] == f"127.0.0.1:5085/triptych/{service.image}:abc123"
            assert [p["containerPort"] for p in container["ports"]] == [service.port]

    def test_images_stop_by_the_models_signal(self, services: dict[str, Service]) -> None:
        # Kubernetes has no word for it: what the image says counts.
        for service in services.values():
            folders = (PROJECT_ROOT / "app", PROJECT_ROOT / "shop" / "images")
            (file,) = (
                f / service.image / "Dockerfile"
                for f in folders
                if (f / service.image / "Dockerfile").exists()
            )
            assert f"\nSTOPSIGNAL {service.stop_signal}\n" in file.read_text(), service.name

    def test_environment(self, deployed: Deployed, services: dict[str, Service]) -> None:
        configs = by_service(deployed, "ConfigMap")
        for name, service in services.items():
            expected = service.environment()
            if name not in catalogue.SURROUNDINGS:
                expected["RELEASE"] = f"re1ea5e-{name}"
            source = container_of(workloads(deployed)[name]).get("envFrom")
            if not expected:
                assert name not in configs
                assert source is None
                continue
            assert configs[name].inputs["data"] == expected
            assert configs[name].inputs["immutable"] is True
            assert source == [{"configMapRef": {"name": f"{configs[name].name}-1a2b3c"}}]
            assert "env" not in container_of(workloads(deployed)[name])

    def test_writable_is_memory_and_data_alone(
        self, deployed: Deployed, services: dict[str, Service]
    ) -> None:
        for name, resource in workloads(deployed).items():
            service = services[name]
            volumes = {v["name"]: v for v in pod_of(resource).get("volumes", [])}
            mounts = {m["mountPath"]: m for m in container_of(resource).get("volumeMounts", [])}
            paths = {t.path for t in service.tmpfs} | {d.path for d in service.data}
            paths |= {"/run/secrets"} if service.secrets else set()
            assert set(mounts) == paths
            for tmpfs in service.tmpfs:
                volume = volumes[mounts[tmpfs.path]["name"]]
                assert volume["emptyDir"] == {
                    "medium": "Memory",
                    "sizeLimit": f"{tmpfs.size_mib}Mi",
                }
            for data in service.data:
                claim = volumes[mounts[data.path]["name"]]["persistentVolumeClaim"]
                assert claim == {"claimName": f"{data.name}-data"}


class TestSecrets:
    def test_each_service_has_its_own_alone(
        self, deployed: Deployed, services: dict[str, Service]
    ) -> None:
        opaque = {
            r.inputs["metadata"]["labels"]["app.kubernetes.io/name"]: r
            for r in objects(deployed, "Secret")
            if r.inputs["type"] == "Opaque"
        }
        assert set(opaque) == {n for n, s in services.items() if s.secrets}
        values = {**SECRET_VALUES, "stripe_api_key": STRIPE_KEY}
        for name, secret in opaque.items():
            wanted = {s.name: values[s.name] for s in services[name].secrets}
            data = secret.inputs["data"]
            assert {k: base64.b64decode(v).decode() for k, v in data.items()} == wanted
            (volume,) = (
                v for v in pod_of(workloads(deployed)[name])["volumes"] if v["name"] == "secrets"
            )
            assert volume["secret"] == {
                "secretName": f"{secret.name}-1a2b3c",
                "defaultMode": 0o440,
            }

    def test_they_are_secret_and_another_content_is_another_object(
        self, deployed: Deployed
    ) -> None:
        for secret in objects(deployed, "Secret"):
            assert "data" in secret.secret_inputs, secret.name
            assert secret.inputs["immutable"] is True
            # No name: Pulumi gives each content one of its own, before the old one goes.
            assert "name" not in secret.inputs["metadata"]
            assert secret.delete_before_replace is False

    def test_the_ingress_certificate(self, deployed: Deployed) -> None:
        (secret,) = (r for r in objects(deployed, "Secret") if r.inputs["type"] != "Opaque")
        assert secret.inputs["type"] == "kubernetes.io/tls"
        assert set(secret.inputs["data"]) == {"tls.crt", "tls.key"}

    def test_no_encoded_secret_is_a_plain_input(self, deployed: Deployed) -> None:
        hidden = [base64.b64encode(v.encode()).decode() for v in SECRET_VALUES.values()]
        for resource in deployed.resources.values():
            if not resource.secret_inputs:
                assert not [h for h in hidden if h in str(resource.inputs)], resource.name

    def test_the_kubeconfig_is_secret(self, deployed: Deployed) -> None:
        assert "kubeconfig" in deployed.resources["platform-kubernetes"].secret_inputs


class TestPolicies:
    def edges(self, deployed: Deployed, side: str) -> set[tuple[str, str, int]]:
        """Return which service's pods may speak to which, by the policies' one side."""
        found: set[tuple[str, str, int]] = set()
        for name, policy in by_service(deployed, "NetworkPolicy").items():
            key = {"ingress": "from", "egress": "to"}[side]
            for rule in policy.inputs["spec"].get(side, []):
                (port,) = rule["ports"]
                assert port["protocol"] == "TCP"
                for peer in rule.get(key, []):
                    if "podSelector" in peer:
                        other = peer["podSelector"]["matchLabels"]["app.kubernetes.io/name"]
                        pair = (other, name) if side == "ingress" else (name, other)
                        found.add((*pair, int(port["port"])))
        return found

    def test_the_edges_are_those_of_the_model_at_both_ends(
        self, deployed: Deployed, services: dict[str, Service]
    ) -> None:
        expected = {
            (name, needed, services[needed].port)
            for name, service in services.items()
            for needed in service.needs
        }
        assert self.edges(deployed, "ingress") == expected
        assert self.edges(deployed, "egress") == expected

    def test_everything_else_is_closed(
        self, deployed: Deployed, services: dict[str, Service]
    ) -> None:
        policies = {p.inputs["metadata"]["name"]: p for p in objects(deployed, "NetworkPolicy")}
        assert set(policies) == {"default-deny", "names", *services}
        assert policies["default-deny"].inputs["spec"] == {
            "podSelector": {},
            "policyTypes": ["Ingress", "Egress"],
        }
        for name in services:
            assert policies[name].inputs["spec"]["policyTypes"] == ["Ingress", "Egress"]

    def test_names_may_be_asked_for(self, deployed: Deployed) -> None:
        (policy,) = (
            p for p in objects(deployed, "NetworkPolicy") if p.inputs["metadata"]["name"] == "names"
        )
        (rule,) = policy.inputs["spec"]["egress"]
        assert {(p["protocol"], int(p["port"])) for p in rule["ports"]} == {
            ("UDP", 53),
            ("TCP", 53),
        }
        (peer,) = rule["to"]
        assert peer["namespaceSelector"]["matchLabels"] == {
            "kubernetes.io/metadata.name": "kube-system"
        }

    @pytest.mark.parametrize(
        ("stack", "namespace"), [("deployed", "triptych-ingress"), ("existing", "ingress-nginx")]
    )
    def test_the_way_in_is_from_the_ingress_controller(
        self, request: pytest.FixtureRequest, shape: str, stack: str, namespace: str
    ) -> None:
        made = request.getfixturevalue(stack)
        assert made.outputs["shape"] == shape
        policy = by_service(made, "NetworkPolicy")["gateway"]
        (rule,) = policy.inputs["spec"]["ingress"]
        assert rule == {
            "from": [
                {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
            ],
            "ports": [{"port": 8443, "protocol": "TCP"}],
        }

    def test_a_controller_of_unknown_place_is_let_in(self, build_stack: Build) -> None:
        settings = {**EXISTING, "ingress_namespace": None}
        policy = by_service(build_stack("kubernetes", **settings), "NetworkPolicy")["gateway"]
        (rule,) = policy.inputs["spec"]["ingress"]
        assert "from" not in rule


class TestScaling:
    def test_those_without_data_scale_by_cpu(
        self, deployed: Deployed, services: dict[str, Service]
    ) -> None:
        scalers = by_service(deployed, "HorizontalPodAutoscaler")
        assert set(scalers) == {n for n, s in services.items() if s.replicas_max > s.replicas}
        assert not set(scalers) & set(catalogue.DATASTORES)
        for name, scaler in scalers.items():
            spec, service = scaler.inputs["spec"], services[name]
            assert spec["scaleTargetRef"] == {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": name,
            }
            assert (spec["minReplicas"], spec["maxReplicas"]) == (
                service.replicas,
                service.replicas_max,
            )
            (metric,) = spec["metrics"]
            target = metric["resource"]["target"]
            assert metric["resource"]["name"] == "cpu"
            assert target["type"] == "AverageValue"
            assert 0.5 < millis(target["averageValue"]) / (service.limits.cpus * 1000) < 0.9
            assert spec["behavior"]["scaleDown"]["stabilizationWindowSeconds"] >= 60
            # Two who say how many there are would be at odds.
            assert "replicas" not in workloads(deployed)[name].inputs["spec"]

    def test_disruption_budgets_let_nodes_be_drained(
        self, deployed: Deployed, services: dict[str, Service]
    ) -> None:
        budgets = by_service(deployed, "PodDisruptionBudget")
        assert set(budgets) == set(services)
        for name, budget in budgets.items():
            spec = budget.inputs["spec"]
            assert spec["maxUnavailable"] == 1
            assert spec["selector"]["matchLabels"] == {"app.kubernetes.io/name": name}


class TestServices:
    def test_names_and_ports(self, deployed: Deployed, services: dict[str, Service]) -> None:
        found = by_service(deployed, "Service")
        assert set(found) == set(services)
        for name, service in services.items():
            inputs = found[name].inputs
            assert inputs["metadata"]["name"] == name
            (port,) = inputs["spec"]["ports"]
            assert (port["port"], port["targetPort"]) == (service.port, "main")
            assert inputs["spec"]["selector"] == {"app.kubernetes.io/name": name}
            assert inputs["spec"]["type"] == "ClusterIP"
        (port,) = found["gateway"].inputs["spec"]["ports"]
        assert port["appProtocol"] == "https"

    def test_ingress_by_address(self, deployed: Deployed) -> None:
        (ingress,) = objects(deployed, "Ingress")
        spec = ingress.inputs["spec"]
        assert spec["ingressClassName"] == "triptych"
        (rule,) = spec["rules"]
        assert "host" not in rule
        (path,) = rule["http"]["paths"]
        assert (path["path"], path["pathType"]) == ("/", "Prefix")
        assert path["backend"]["service"] == {"name": "gateway", "port": {"number": 8443}}
        (tls,) = spec["tls"]
        assert tls == {"secretName": "gateway-gateway-certificate-1a2b3c"}

    def test_ingress_by_name(self, existing: Deployed) -> None:
        (ingress,) = objects(existing, "Ingress")
        spec = ingress.inputs["spec"]
        assert spec["ingressClassName"] == "nginx"
        assert spec["rules"][0]["host"] == "shop.example.org"
        assert spec["tls"][0]["hosts"] == ["shop.example.org"]
        assert existing.outputs["storefront_url"] == "https://shop.example.org"
        assert "shop.example.org" in existing.resources["credentials"].inputs["dns_names"]


class TestEverything:
    def test_labels(self, deployed: Deployed) -> None:
        for resource in objects(deployed, added=True):
            labels = resource.inputs["metadata"]["labels"]
            assert labels["triptych.stack"] == "unit", resource.name
            if not resource.name.startswith("platform-addon-"):
                assert labels["app.kubernetes.io/part-of"] == "triptych"
                assert labels["app.kubernetes.io/managed-by"] == "pulumi"

    def test_in_the_namespace(self, deployed: Deployed) -> None:
        for resource in objects(deployed):
            metadata = resource.inputs["metadata"]
            if resource.typ == "kubernetes:core/v1:Namespace":
                assert metadata["name"] == "triptych-unit"
                assert metadata["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
            else:
                assert metadata["namespace"] == "triptych-unit", resource.name

    def test_by_the_stacks_own_provider(self, deployed: Deployed, existing: Deployed) -> None:
        for side in (deployed, existing):
            assert {r.provider for r in objects(side, added=True)} == {"platform-kubernetes"}

    def test_nothing_in_a_cluster_of_our_own_is_deleted_by_itself(self, deployed: Deployed) -> None:
        for resource in (*objects(deployed, added=True), deployed.resources["rollout"]):
            assert resource.deleted_with == "platform-cluster", resource.name

    def test_in_the_users_cluster_all_goes_with_the_namespace(self, existing: Deployed) -> None:
        for resource in objects(existing):
            expected = "" if resource.name == "platform-namespace" else "platform-namespace"
            assert resource.deleted_with == expected, resource.name

    def test_no_tool_waits_for_readiness(self, deployed: Deployed) -> None:
        kinds = (
            "Deployment",
            "StatefulSet",
            "DaemonSet",
            "Service",
            "Ingress",
            "HorizontalPodAutoscaler",
            "PersistentVolumeClaim",
            "PodDisruptionBudget",
            "APIService",
        )
        for resource in objects(deployed, added=True):
            if resource.typ.rpartition(":")[2] in kinds:
                annotations = resource.inputs["metadata"]["annotations"]
                assert annotations["pulumi.com/skipAwait"] == "true", resource.name

    def test_what_a_lost_state_left_is_taken_over(self, deployed: Deployed) -> None:
        for resource in objects(deployed, added=True):
            metadata = resource.inputs["metadata"]
            if "name" in metadata:
                assert metadata["annotations"]["pulumi.com/patchForce"] == "true", resource.name

    def test_fixed_names_are_deleted_before_they_are_replaced(self, deployed: Deployed) -> None:
        for resource in objects(deployed):
            named = "name" in resource.inputs["metadata"]
            assert resource.delete_before_replace == named, resource.name

    def test_the_rollout_comes_last(self, deployed: Deployed) -> None:
        depends = set(deployed.resources["rollout"].dependencies)
        assert {r.name for r in workloads(deployed).values()} <= depends
        revisions = deployed.resources["rollout"].inputs["revisions"]
        assert set(revisions) == set(workloads(deployed))

    def test_other_pods_are_another_revision(
        self, build_stack: Build, deployed: Deployed, shape: str
    ) -> None:
        revisions = deployed.resources["rollout"].inputs["revisions"]
        other = build_stack("kubernetes", shape=shape, registry="registry.example:5000")
        for name, revision in other.resources["rollout"].inputs["revisions"].items():
            assert re.fullmatch("[0-9a-f]{16}", revision)
            assert revision != revisions[name]

    def test_fields_are_those_of_the_api(self, deployed: Deployed) -> None:
        found = objects(deployed, added=True)
        assert len(found) > 50
        for resource in found:
            assert problems(resource.inputs, model_of(resource.inputs)) == [], resource.name


class TestOwnCluster:
    def test_kind_config(self, deployed: Deployed) -> None:
        (cluster,) = (r for r in deployed.resources.values() if r.typ == CLUSTER)
        config = yaml.safe_load(cluster.inputs["config"])
        assert config["name"] == cluster.inputs["name"] == "triptych-unit"
        (node,) = config["nodes"]
        assert node["image"] == cluster.inputs["image"] == "127.0.0.1:5085/triptych/node:abc123"
        (mapping,) = node["extraPortMappings"]
        assert (mapping["listenAddress"], mapping["hostPort"]) == ("127.0.0.1", 18443)
        assert mapping["containerPort"] == 30443
        assert cluster.inputs["network"] == "triptych-unit"
        assert cluster.delete_before_replace

    def test_provider(self, deployed: Deployed) -> None:
        provider = deployed.resources["platform-kubernetes"].inputs
        assert provider["clusterIdentifier"] == "platform-cluster-id"
        assert provider["enableServerSideApply"] == "true"
        assert provider["deleteUnreachable"] == "true"

    def test_registry_is_read_only_and_hardened(self, deployed: Deployed) -> None:
        (registry,) = deployed.of("Container")
        inputs = registry.inputs
        (storage,) = inputs["volumes"]
        assert storage["readOnly"] is True
        assert storage["hostPath"].endswith("/registry/data")
        assert inputs["readOnly"] is True
        assert inputs["capabilities"] == {"drops": ["ALL"]}
        assert inputs["securityOpts"] == ["no-new-privileges:true"]
        assert inputs["memory"] == inputs["memorySwap"]
        assert [n["aliases"] for n in inputs["networksAdvanced"]] == [["registry"]]
        assert {entry["label"] for entry in inputs["labels"]} == {"triptych.stack", "triptych.role"}

    def test_another_registry_needs_no_mirror(self, build_stack: Build) -> None:
        made = build_stack("kubernetes", registry="registry.example:5000")
        assert made.of("Container") == []
        assert made.outputs["inspect"]["registry"] is None
        images = {container_of(r)["image"].partition("/")[0] for r in workloads(made).values()}
        assert images == {"registry.example:5000"}

    def test_addons_come_after_their_namespace(self, deployed: Deployed) -> None:
        for resource in objects(deployed, added=True):
            namespace = resource.inputs["metadata"].get("namespace")
            declared = f"platform-addon-namespace-{namespace}"
            if resource.name.startswith("platform-addon-") and declared in deployed.resources:
                assert declared in resource.dependencies, resource.name

    def test_inspect(self, deployed: Deployed, services: dict[str, Service]) -> None:
        inspect = deployed.outputs["inspect"]
        assert inspect["cluster"] == "triptych-unit"
        assert inspect["node"] == "triptych-unit-control-plane"
        assert inspect["context"] == "kind-triptych-unit"
        assert inspect["namespace"] == "triptych-unit"
        assert inspect["network"] == "triptych-unit"
        assert inspect["registry"] == "triptych-unit-registry"
        assert Path(inspect["kubeconfig"]).name == "triptych-unit"
        assert set(inspect["workloads"]) == set(inspect["images"]) == set(services)
        assert inspect["volumes"] == ["postgres-data", "valkey-data"]


class TestExistingCluster:
    def test_nothing_is_made_but_the_namespace_and_what_is_in_it(self, existing: Deployed) -> None:
        kinds = {r.typ for r in existing.resources.values() if r.custom}
        assert not {k for k in kinds if k.startswith("docker:")}
        assert CLUSTER not in kinds
        assert not [r for r in objects(existing, added=True) if r.name.startswith("platform-addon")]

    def test_provider_takes_the_file_and_never_the_current_context(
        self, existing: Deployed
    ) -> None:
        provider = existing.resources["platform-kubernetes"].inputs
        assert provider["kubeconfig"] == "/home/me/.kube/config"
        assert provider["context"] == provider["clusterIdentifier"] == "mine"
        # A cluster that is not reached for once has not lost its objects.
        assert "deleteUnreachable" not in provider

    def test_storage_class(self, existing: Deployed, deployed: Deployed) -> None:
        for claim in objects(existing, "PersistentVolumeClaim"):
            assert claim.inputs["spec"]["storageClassName"] == "fast"
        for claim in objects(deployed, "PersistentVolumeClaim"):
            assert "storageClassName" not in claim.inputs["spec"]

    def test_outputs_are_the_same(self, existing: Deployed, deployed: Deployed) -> None:
        assert list(existing.outputs) == list(deployed.outputs)
        assert set(existing.outputs["inspect"]) == set(deployed.outputs["inspect"])
        assert existing.outputs["inspect"]["cluster"] == "mine"


class TestAddons:
    def test_every_manifest_is_declared(self, deployed: Deployed) -> None:
        wanted = {(m["kind"], m["metadata"]["name"]) for m in addons.objects(platform.ADDONS_DIR)}
        found = {
            (r.typ.rpartition(":")[2], r.inputs["metadata"]["name"])
            for r in objects(deployed, added=True)
            if r.name.startswith("platform-addon-")
        }
        assert found == wanted


def millis(quantity: str) -> float:
    return float(quantity[:-1]) if quantity.endswith("m") else float(quantity) * 1000


def model_of(manifest: Mapping[str, Any]) -> str:
    """Return the name of the class that the API's generated client has for a manifest."""
    version = manifest["apiVersion"].rpartition("/")[2]
    return f"{version.capitalize()}{manifest['kind']}"


#: How the generated client calls the plain types; `object` stands for a port's name or number.
PLAIN = {"str": str, "bytes": str, "bool": bool, "datetime": str, "int": float, "float": float}


def problems(value: Any, kind: str, path: str = "") -> list[str]:
    """Return where a value is not what the API's schema says: unknown fields, wrong types."""
    if kind == "object":
        return [] if isinstance(value, str | float) else [f"{path}: {value!r}"]
    if kind in PLAIN:
        fits = isinstance(value, PLAIN[kind])
        if isinstance(value, float) and kind == "int":
            fits = value.is_integer()
        return [] if fits else [f"{path}: {value!r} is no {kind}"]
    if container := re.fullmatch(r"list\[(.+)\]", kind, re.IGNORECASE):
        if not isinstance(value, list):
            return [f"{path}: no list"]
        return [p for i, v in enumerate(value) for p in problems(v, container[1], f"{path}[{i}]")]
    if not isinstance(value, dict):
        return [f"{path}: {value!r} is no {kind}"]
    if container := re.fullmatch(r"dict[\[(]str, (.+)[\])]", kind, re.IGNORECASE):
        return [p for k, v in value.items() for p in problems(v, container[1], f"{path}.{k}")]
    model = getattr(models, kind)
    fields = {api: model.openapi_types[own] for own, api in model.attribute_map.items()}
    found = []
    for key, item in value.items():
        if key in fields:
            found += problems(item, fields[key], f"{path}.{key}")
        else:
            found.append(f"{path}.{key}: unknown in {kind}")
    return found


def test_the_schema_check_notices() -> None:
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "spec": {"replicas": "two", "selector": {"matchLabels": {"a": 1.0}}, "templates": {}},
    }
    assert problems(deployment, model_of(deployment)) == [
        ".spec.replicas: 'two' is no int",
        ".spec.selector.matchLabels.a: 1.0 is no str",
        ".spec.templates: unknown in V1DeploymentSpec",
    ]
