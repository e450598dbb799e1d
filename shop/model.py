"""The shop's vocabulary: plain frozen records that each deployment model translates for itself.

Nothing in here knows Docker, systemd or Kubernetes. A container mounts a ``DataMount`` as a named
volume, the VM as a directory on its data disk; a ``SecretFile`` is a file in a volume here and a
systemd credential there. The catalogue (``shop.catalogue``) says which services a shape has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

#: Where a service's container finds its secret files. systemd puts them elsewhere, which is why
#: services learn each path by an environment variable (``SecretFile.variable``).
SECRETS_DIR = "/run/secrets"

#: Where data lies in every model: the mount point of the VM's data disk, the parent of the
#: containers' volumes.
DATA_DIR = "/var/lib/triptych"


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that a service may take."""

    memory_mib: int
    cpus: float

    def __add__(self, other: Limits) -> Limits:
        """Return what two services take together."""
        return Limits(self.memory_mib + other.memory_mib, round(self.cpus + other.cpus, 3))


@dataclass(frozen=True, slots=True)
class DataMount:
    """A directory whose content outlives the service's process.

    ``size_mib`` is what is asked for where storage comes in sizes.
    """

    name: str
    path: str
    size_mib: int = 1024


@dataclass(frozen=True, slots=True)
class Tmpfs:
    """A writable directory in memory, owned by the service's user; all else is read-only."""

    path: str
    size_mib: int


@dataclass(frozen=True, slots=True)
class SecretFile:
    """A file with a secret: ``name`` is the credential, ``variable`` tells the service its path."""

    name: str
    variable: str

    @property
    def path(self) -> str:
        """Return where the file lies in a container."""
        return f"{SECRETS_DIR}/{self.name}"


@dataclass(frozen=True, slots=True)
class Health:
    """How the service itself is asked whether it is well.

    ``command`` is the argument vector of the check, run inside the service's surroundings (exit
    code 0 is well); ``path`` is the same question over HTTP where the service speaks it, and
    ``ready_path`` asks whether it can do its work now, which takes more. ``connects`` says that
    accepting a connection on its port is all that being well means.
    """

    command: tuple[str, ...]
    path: str | None = None
    ready_path: str | None = None
    connects: bool = False
    interval_s: int = 10
    timeout_s: int = 3
    retries: int = 3
    start_period_s: int = 20


@dataclass(frozen=True, slots=True)
class Route:
    """Paths that the gateway hands to a service.

    A path is exact, or ends in ``/*`` and stands for all below it; ``/*`` alone is whatever no
    other route has. The first that matches is taken, in the catalogue's order. ``pages`` says
    that browsers show what is there (the storefront, not the API). ``target`` is what the service
    itself calls the path, where that is another one.
    """

    paths: tuple[str, ...]
    pages: bool = False
    target: str | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """One service of the shop.

    ``command`` is the whole argument vector: the images have no entry point of their own, and the
    systemd units run the same one. ``env`` holds no secret and no path to one (those come from
    ``secrets``, see ``environment``). ``needs`` names the services that it talks to: knowledge for
    reports and policies, not a start order, as each service waits for what it needs by itself.
    ``routes`` are the paths it answers to customers. ``replicas`` is how many there are, and
    ``replicas_max`` how many there may be where the platform adds some under load. ``jit`` says
    that its language's runtime writes machine code as it goes, which hardening has to let it.
    """

    name: str
    image: str
    port: int
    uid: int
    command: tuple[str, ...]
    limits: Limits
    health: Health
    env: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    secrets: tuple[SecretFile, ...] = ()
    needs: tuple[str, ...] = ()
    data: tuple[DataMount, ...] = ()
    tmpfs: tuple[Tmpfs, ...] = ()
    metrics_path: str | None = None
    routes: tuple[Route, ...] = ()
    jit: bool = False
    replicas: int = 1
    replicas_max: int = 1
    stop_signal: str = "SIGTERM"
    stop_grace_s: int = 10

    @property
    def address(self) -> str:
        """Return ``host:port`` as the other services use it."""
        return f"{self.name}:{self.port}"

    def environment(self, secrets_dir: str = SECRETS_DIR) -> dict[str, str]:
        """Return the whole environment, sorted by name, with secrets lying in ``secrets_dir``."""
        paths = {s.variable: f"{secrets_dir}/{s.name}" for s in self.secrets}
        return dict(sorted({**self.env, **paths}.items()))


@dataclass(frozen=True, slots=True)
class Machine:
    """The virtual machine that holds a whole shop."""

    memory_mib: int
    vcpus: int
    data_disk_bytes: int
