"""Settings: defaults, and one clear line for whatever can't be used."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv4Network

import pulumi
import pytest
from pulumi.runtime import config as runtime_config
from pulumi.runtime import mocks

from settings import KEYS, Settings, SettingsError
from shop import catalogue
from stacks.artefacts import PROJECT_ROOT
from stacks.dev import of_model
from tests.support.pulumi_mocks import Recorder

Read = Callable[..., Settings]


@pytest.fixture
def read(pulumi_loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Read]:
    """Return a function that reads settings from a configuration."""
    monkeypatch.delenv("PULUMI_CONFIG", raising=False)

    def run(stack: str = "docker", **config: str) -> Settings:
        mocks.set_mocks(Recorder(), project="triptych", stack=stack)
        runtime_config.set_all_config(
            {(k if ":" in k else f"triptych:{k}"): v for k, v in config.items()}
        )
        return Settings.from_config()

    yield run
    runtime_config.set_all_config({})


def test_defaults(read: Read) -> None:
    settings = read()
    assert settings.model == "docker"
    assert settings.shape == "microservices"
    assert settings.gateway_port == 8443
    assert settings.bind_address == IPv4Address("127.0.0.1")
    assert settings.keep_images is True
    assert settings.registry is None
    assert settings.docker_host is None
    assert settings.libvirt_uri == "qemu:///system"
    assert settings.vm_subnet == IPv4Network("10.91.0.0/24")
    assert settings.vm_accelerator == "auto"
    assert settings.ssh_public_key is None
    assert settings.prefix == "triptych-docker"


def test_empty_values_are_as_good_as_none(read: Read) -> None:
    assert read(**dict.fromkeys(KEYS, "")) is not None


def test_the_project_file_declares_exactly_our_keys() -> None:
    text = (PROJECT_ROOT / "Pulumi.yaml").read_text(encoding="utf-8")
    declared = re.findall(r"^  ([a-z_]+):$", text.partition("config:\n")[2], re.MULTILINE)
    assert sorted(declared) == sorted(KEYS)


def test_model_from_the_key_or_from_the_stacks_name(read: Read) -> None:
    assert read("vm").model == "vm"
    assert read("e2e-7", model="vm").model == "vm"


def test_other_namespaces_are_not_ours(read: Read) -> None:
    assert read(**{"docker:host": "x", "pulumi:tags": "y"}).model == "docker"


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("model", "swarm", "docker, kubernetes, vm, dev"),
        ("shape", "nonsense", ", ".join(catalogue.SHAPES)),
        ("gateway_port", "0", "1 to 65535"),
        ("gateway_port", "70000", "1 to 65535"),
        ("gateway_port", "https", "1 to 65535"),
        ("gateway_port", "-1", "1 to 65535"),
        ("bind_address", "localhost", "IPv4 address"),
        ("keep_images", "maybe", "true or false"),
        ("registry", "http://r.example/", "host or host:port"),
        ("libvirt_uri", "xen:///system", "qemu:///system"),
        ("vm_subnet", "10.91.0.5/24", "/16 to /28"),
        ("vm_subnet", "10.0.0.0/8", "/16 to /28"),
        ("vm_subnet", "8.8.8.0/24", "private"),
        ("vm_accelerator", "hvf", "auto, kvm, tcg"),
        ("ssh_public_key", "-----BEGIN", "ssh-ed25519"),
        ("known_costs", "slow=1", "ready_delay_s=0.5"),
        ("known_costs", "held_mib=200,dead_s=2", "ready_delay_s=0.5"),
        ("cluster", "minikube", "kind, existing"),
        ("context", "a context", "without blanks"),
        ("ingress_class", "Nginx!", "a class's name"),
        ("ingress_namespace", "a.b", "a namespace's name"),
        ("storage_class", "-x", "a class's name"),
        ("storefront_host", "https://shop.example", "shop.example.org"),
        ("storefront_host", "192.0.2.7", "shop.example.org"),
        ("storefront_host", "shop.example:port", "shop.example.org"),
    ],
)
def test_refusals_name_key_value_and_what_is_allowed(
    read: Read, key: str, value: str, allowed: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        read(**{key: value})
    text = str(caught.value)
    assert text.startswith(f'triptych:{key}: "{value}"')
    assert allowed in text
    assert "\n" not in text


def test_unknown_key(read: Read) -> None:
    with pytest.raises(SettingsError, match=r"triptych:gatway_port: unknown .* gateway_port"):
        read(gatway_port="1")


def test_structured_values_count_as_their_key(read: Read) -> None:
    with pytest.raises(SettingsError, match="triptych:extra: unknown"):
        read(**{"extra.deep[0]": "1"})


def test_unknown_stack_name_says_where_it_came_from(read: Read) -> None:
    with pytest.raises(SettingsError, match=r'"staging" \(the stack\'s name'):
        read("staging")


@pytest.mark.parametrize("stack", ["Docker", "a_b", "-x", "x" * 41, "a.b"])
def test_stack_names_that_daemons_would_refuse(read: Read, stack: str) -> None:
    with pytest.raises(SettingsError, match="stack name"):
        read(stack, model="docker")


def test_refused_secret_is_not_shown(read: Read) -> None:
    with pytest.raises(SettingsError) as caught:
        read(stripe_api_key="sk live with blanks")
    assert "sk live" not in str(caught.value)


def test_errors_are_shown_without_a_traceback() -> None:
    assert issubclass(SettingsError, pulumi.RunError)


def test_config_in_the_environment_counts_too(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_CONFIG", json.dumps({"triptych:no_such": "1"}))
    with pytest.raises(SettingsError, match="no_such"):
        read()


EXISTING = {
    "cluster": "existing",
    "context": "mine",
    "registry": "registry.example:5000",
    "storefront_host": "shop.example.org:8443",
}


def test_defaults_of_a_cluster(read: Read) -> None:
    settings = read("kubernetes")
    assert settings.shape == "microservices"
    assert settings.cluster == "kind"
    assert settings.names == ""
    for key in ("kubeconfig", "context", "ingress_class", "storage_class", "storefront_host"):
        assert getattr(settings, key) is None, key


def test_a_cluster_that_exists(read: Read) -> None:
    settings = read("kubernetes", **EXISTING, kubeconfig="~/clusters/mine")
    assert settings.context == "mine"
    assert settings.kubeconfig is not None
    assert settings.kubeconfig.endswith("/clusters/mine")
    assert not settings.kubeconfig.startswith("~")


@pytest.mark.parametrize("key", ["context", "registry", "storefront_host"])
def test_what_has_to_be_known_of_a_cluster_that_exists(read: Read, key: str) -> None:
    with pytest.raises(SettingsError, match=rf"triptych:{key} is not set: .* existing"):
        read("kubernetes", **{k: v for k, v in EXISTING.items() if k != key})


@pytest.mark.parametrize("key", ["context", "ingress_class", "storage_class", "storefront_host"])
def test_what_is_not_for_a_cluster_of_our_own(read: Read, key: str) -> None:
    with pytest.raises(SettingsError, match=rf"triptych:{key} says something about a cluster"):
        read("kubernetes", **{key: "mine"})
    # Another model has nothing to do with it.
    assert read("docker", **{key: "mine"}).model == "docker"


def test_a_kubeconfigs_content_is_not_shown(read: Read) -> None:
    with pytest.raises(SettingsError, match="file's path") as caught:
        read("kubernetes", kubeconfig="apiVersion: v1\nkind: Config")
    assert "apiVersion" not in str(caught.value)


def test_all_models_side_by_side(read: Read) -> None:
    settings = read("dev")
    assert settings.model == "dev"
    assert settings.shape == ""
    assert read("dev", shape="monolith").shape == "monolith"
    parts = {model: of_model(settings, model) for model in catalogue.MODELS}
    for model, part in parts.items():
        assert part.model == model
        assert part.shape == catalogue.MODELS[model]
        assert part.prefix == f"triptych-dev-{model}"
        assert part.names == f"{model}-"
    assert parts["docker"].gateway_port == 8443
    assert parts["kubernetes"].gateway_port == 8444


def test_the_last_port_leaves_none_for_the_second_gateway(read: Read) -> None:
    with pytest.raises(SettingsError, match=r"gateway_port: \"65535\".*one more"):
        read("dev", gateway_port="65535")
