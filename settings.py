"""The one place that reads Pulumi's configuration, into a frozen record.

Everything else gets plain values from here; components never ask ``pulumi.Config``. A bad value
ends the program with one line that names the key, the value and what is allowed.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pulumi
from pulumi.runtime import config as runtime_config

from shop import catalogue

NAMESPACE: Final = "triptych"

MODELS: Final = catalogue.MODELS
#: All models side by side in one stack.
DEV: Final = "dev"
ACCELERATORS: Final = ("auto", "kvm", "tcg")
CLUSTERS: Final = ("kind", "existing")
KEYS: Final = (
    "bind_address",
    "cluster",
    "context",
    "docker_host",
    "gateway_port",
    "ingress_class",
    "ingress_namespace",
    "keep_images",
    "known_costs",
    "kubeconfig",
    "libvirt_uri",
    "model",
    "registry",
    "shape",
    "ssh_public_key",
    "storage_class",
    "storefront_host",
    "stripe_api_key",
    "vm_accelerator",
    "vm_subnet",
)

#: What stripe-mock takes for a key. It opens nothing, but is handled like one that does.
_TEST_STRIPE_KEY: Final = "sk_test_123"
#: Docker, libvirt and DNS all take these in names; 40 leaves room for what components append.
_STACK_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_REGISTRY = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?")
#: Kubernetes' names of classes (with dots) and namespaces (without).
_CLASS_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_NAMESPACE_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_CONTEXT = re.compile(r"\S{1,253}")
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(
    rf"(?=.{{1,253}}(:|$))({_LABEL}\.)*[a-z]([a-z0-9-]{{0,61}}[a-z0-9])?(:[0-9]{{1,5}})?"
)
_SSH_KEY = re.compile(
    r"(ssh-(ed25519|rsa)|ecdsa-sha2-nistp(256|384|521)) [A-Za-z0-9+/=]+( [^\n]*)?"
)
_COST = (
    r"(ready_delay_s|dead_s)=[0-9]+(\.[0-9]+)?|held_mib=[0-9]+"
    r"|(burned_cores|failing_share)=[01](\.[0-9]+)?"
)
_KNOWN_COSTS = re.compile(rf"({_COST})( ({_COST}))*")
_STRIPE_KEY = re.compile(r"(sk|rk)_(test|live)_[A-Za-z0-9]{1,247}")


class SettingsError(pulumi.RunError):
    """A configuration key or value that cannot be used."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A stack's configuration, checked and with every default filled in.

    ``names`` is what the Pulumi names of this shop's resources start with: nothing, unless several
    shops share one Pulumi stack.
    """

    stack: str
    model: str
    shape: str
    gateway_port: int
    bind_address: ipaddress.IPv4Address
    keep_images: bool
    registry: str | None
    docker_host: str | None
    libvirt_uri: str
    vm_subnet: ipaddress.IPv4Network
    vm_accelerator: str
    ssh_public_key: str | None
    stripe_api_key: pulumi.Output[str]
    cluster: str = "kind"
    kubeconfig: str | None = None
    context: str | None = None
    ingress_class: str | None = None
    ingress_namespace: str | None = None
    storage_class: str | None = None
    storefront_host: str | None = None
    known_costs: str | None = None
    names: str = ""

    @property
    def prefix(self) -> str:
        """What the name of everything that this stack makes in a daemon starts with."""
        return f"triptych-{self.stack}"

    @classmethod
    def from_config(cls) -> Settings:
        """Read the configuration of the stack that is being run.

        Raises:
            SettingsError: if a key is unknown or a value is not allowed.
        """
        _refuse_unknown_keys()
        config = pulumi.Config(NAMESPACE)
        stack = pulumi.get_stack()
        if not _STACK_NAME.fullmatch(stack):
            raise SettingsError(
                f'stack name "{stack}" cannot be used in the names of containers and machines:'
                " use at most 40 lower-case letters, digits and hyphens, not a hyphen first"
            )
        model = config.get("model") or stack
        if model not in (*MODELS, DEV):
            source = "" if config.get("model") else " (the stack's name, as the key is not set)"
            raise _refusal("model", model, f"one of {', '.join((*MODELS, DEV))}", source)
        settings = cls(
            stack=stack,
            model=model,
            shape=_shape(config, model),
            gateway_port=_port(config, "gateway_port", 8443),
            bind_address=_address(config, "bind_address", "127.0.0.1"),
            keep_images=_boolean(config, "keep_images", True),
            registry=_pattern(config, "registry", _REGISTRY, "host or host:port"),
            docker_host=config.get("docker_host") or None,
            libvirt_uri=_libvirt_uri(config),
            vm_subnet=_subnet(config, "vm_subnet", "10.91.0.0/24"),
            vm_accelerator=_one_of(config, "vm_accelerator", ACCELERATORS),
            ssh_public_key=_pattern(
                config, "ssh_public_key", _SSH_KEY, "one line such as ssh-ed25519 AAAA... comment"
            ),
            stripe_api_key=_stripe_api_key(config),
            known_costs=_pattern(
                config,
                "known_costs",
                _KNOWN_COSTS,
                "costs such as ready_delay_s=0.5 held_mib=200 burned_cores=0.5"
                " failing_share=0.01 dead_s=2",
            ),
            cluster=_one_of(config, "cluster", CLUSTERS),
            kubeconfig=_kubeconfig(config),
            context=_pattern(config, "context", _CONTEXT, "the name of a context, without blanks"),
            ingress_class=_pattern(config, "ingress_class", _CLASS_NAME, "a class's name"),
            ingress_namespace=_pattern(
                config, "ingress_namespace", _NAMESPACE_NAME, "a namespace's name"
            ),
            storage_class=_pattern(config, "storage_class", _CLASS_NAME, "a class's name"),
            storefront_host=_pattern(
                config,
                "storefront_host",
                _HOST,
                "a host name such as shop.example.org, or name:port",
            ),
        )
        settings._check_cluster()
        return settings

    def _check_cluster(self) -> None:
        """Refuse what says too little, or too much, about the cluster.

        Raises:
            SettingsError: with the key in question.
        """
        if self.model not in ("kubernetes", DEV):
            return
        if self.model == DEV and self.gateway_port == 65535:
            raise _refusal("gateway_port", "65535", "65534 at most: there is one more gateway")
        of_existing = {
            "context": self.context,
            "registry": self.registry,
            "storefront_host": self.storefront_host,
        }
        if self.cluster == "existing":
            for key, value in of_existing.items():
                if value is None:
                    raise SettingsError(
                        f"{NAMESPACE}:{key} is not set:"
                        f" with {NAMESPACE}:cluster existing it has to be"
                    )
            return
        for key in (
            "kubeconfig",
            "context",
            "ingress_class",
            "ingress_namespace",
            "storage_class",
            "storefront_host",
        ):
            if getattr(self, key) is not None:
                raise SettingsError(
                    f"{NAMESPACE}:{key} says something about a cluster that exists:"
                    f" set {NAMESPACE}:cluster to existing, or leave it out"
                )


def _refusal(key: str, value: str, allowed: str, source: str = "") -> SettingsError:
    return SettingsError(
        f'{NAMESPACE}:{key}: "{value}"{source} is not allowed: it must be {allowed}'
    )


def _refuse_unknown_keys() -> None:
    given = {**runtime_config.get_config_env(), **runtime_config.CONFIG.get()}
    names = (key.removeprefix(f"{NAMESPACE}:") for key in given if key.startswith(f"{NAMESPACE}:"))
    # "triptych:a.b" can reach the program as key "a.b" or as the structured value "a".
    unknown = sorted({name.split(".")[0].split("[")[0] for name in names} - set(KEYS))
    if unknown:
        raise SettingsError(
            f"{NAMESPACE}:{unknown[0]}: unknown configuration key: known keys are {', '.join(KEYS)}"
        )


def _shape(config: pulumi.Config, model: str) -> str:
    # Each of several models has its own.
    shape = config.get("shape") or MODELS.get(model, "")
    if model == DEV and not shape:
        return shape
    if shape not in catalogue.SHAPES:
        raise _refusal("shape", shape, f"one of {', '.join(catalogue.SHAPES)}")
    return shape


def _port(config: pulumi.Config, key: str, default: int) -> int:
    text = config.get(key) or str(default)
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= 65535:
        raise _refusal(key, text, "a whole number from 1 to 65535")
    return int(text)


def _boolean(config: pulumi.Config, key: str, default: bool) -> bool:
    text = config.get(key) or str(default).lower()
    if text not in ("true", "false"):
        raise _refusal(key, text, "true or false")
    return text == "true"


def _address(config: pulumi.Config, key: str, default: str) -> ipaddress.IPv4Address:
    text = config.get(key) or default
    try:
        return ipaddress.IPv4Address(text)
    except ValueError:
        raise _refusal(key, text, "an IPv4 address such as 127.0.0.1 or 0.0.0.0") from None


def _subnet(config: pulumi.Config, key: str, default: str) -> ipaddress.IPv4Network:
    text = config.get(key) or default
    try:
        subnet = ipaddress.IPv4Network(text)
    except ValueError:
        subnet = None
    if subnet is None or not (16 <= subnet.prefixlen <= 28) or not subnet.is_private:
        raise _refusal(key, text, "a private IPv4 network of /16 to /28 such as 10.91.0.0/24")
    return subnet


def _one_of(config: pulumi.Config, key: str, allowed: tuple[str, ...]) -> str:
    """Return one of the values allowed, the first of which is the default."""
    text = config.get(key) or allowed[0]
    if text not in allowed:
        raise _refusal(key, text, f"one of {', '.join(allowed)}")
    return text


def _kubeconfig(config: pulumi.Config) -> str | None:
    text = config.get("kubeconfig") or None
    if text is None:
        return None
    if "\n" in text:
        raise SettingsError(
            f"{NAMESPACE}:kubeconfig: the value is not allowed:"
            " it must be a file's path, not its content (it is not shown here)"
        )
    return str(Path(text).expanduser().absolute())


def _libvirt_uri(config: pulumi.Config) -> str:
    text = config.get("libvirt_uri") or "qemu:///system"
    if not re.fullmatch(r"qemu(\+[a-z]+)?://\S*/(system|session)(\?\S*)?", text):
        raise _refusal(
            "libvirt_uri",
            text,
            "a QEMU connection such as qemu:///system or qemu+ssh://host/system",
        )
    return text


def _pattern(config: pulumi.Config, key: str, pattern: re.Pattern[str], allowed: str) -> str | None:
    text = config.get(key) or None
    if text is not None and not pattern.fullmatch(text):
        raise _refusal(key, text, allowed)
    return text


def _stripe_api_key(config: pulumi.Config) -> pulumi.Output[str]:
    # Read as plain text so that it can be checked here; from here on it is a secret.
    text = config.get("stripe_api_key") or _TEST_STRIPE_KEY
    if not _STRIPE_KEY.fullmatch(text):
        raise SettingsError(
            f"{NAMESPACE}:stripe_api_key: the value is not allowed:"
            " it must be a Stripe secret key such as sk_test_123 (it is not shown here)"
        )
    return pulumi.Output.secret(text)
