"""The guest's view of the shop model: systemd units, environment files, host names."""

from __future__ import annotations

import string
from collections.abc import Iterable
from pathlib import Path

from shop.catalogue import GATEWAY, SURROUNDINGS, services
from shop.model import DATA_DIR, Service

LOOPBACK = "127.0.0.1"
ENVIRONMENT_DIR = "/usr/lib/triptych/env"
SECRETS_DIR = "/etc/triptych/secrets"


def quoted(word: str) -> str:
    """Return a word as systemd reads it back unchanged in ExecStart=."""
    safe = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    plain = set(string.ascii_letters + string.digits + "-_./:=,@+%$")
    return safe if word and set(safe) <= plain else f'"{safe}"'


def environment_file(service: Service) -> str:
    """Return the service's environment in the guest, as systemd's EnvironmentFile= reads it.

    Secrets are where systemd puts the unit's credentials. Nobody but the gateway is spoken to from
    outside, so the others listen on the loop-back interface only.
    """
    values = service.environment(f"/run/credentials/triptych-{service.name}.service")
    if service.name != GATEWAY:
        values["LISTEN_HOST"] = LOOPBACK
    lines = []
    for name, value in sorted(values.items()):
        safe = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
        lines.append(f'{name}="{safe.replace("`", chr(92) + "`")}"\n')
    return "".join(lines)


def _specific(service: Service) -> Iterable[str]:
    """Yield the directives that only some services have."""
    for secret in service.secrets:
        yield f"LoadCredential={secret.name}:{SECRETS_DIR}/{secret.name}"
    for data in service.data:
        if not data.path.startswith(f"{DATA_DIR}/"):
            raise ValueError(f"{service.name}: {data.path} is not on the data disk ({DATA_DIR})")
        yield f"StateDirectory={data.path.removeprefix('/var/lib/')}"
        yield "StateDirectoryMode=0700"
    for tmpfs in service.tmpfs:
        if tmpfs.path.startswith("/run/"):
            yield f"RuntimeDirectory={tmpfs.path.removeprefix('/run/')}"
            yield "RuntimeDirectoryMode=0700"
        elif tmpfs.path != "/tmp":  # /tmp is private to every unit
            yield f"TemporaryFileSystem={tmpfs.path}:mode=1777,size={tmpfs.size_mib}M"
    if service.name != GATEWAY:
        yield "IPAddressDeny=any"
        yield "IPAddressAllow=localhost"
    if not service.jit:
        yield "MemoryDenyWriteExecute=yes"


def unit(service: Service, template: str) -> str:
    """Return the service's systemd unit; `template` is the text of shop/guest/service.unit."""
    return string.Template(template).substitute(
        name=service.name,
        user=service.name,
        command=" ".join(quoted(word) for word in service.command),
        stop_signal=service.stop_signal,
        stop_grace_s=service.stop_grace_s,
        memory_mib=service.limits.memory_mib,
        cpu_percent=round(service.limits.cpus * 100),
        specific="\n".join(_specific(service)),
    )


def workload_mark(of: Iterable[Service], template: str) -> str:
    """Return the unit that marks the workload's start; `template` is shop/guest/workload.unit."""
    units = (f"triptych-{s.name}.service" for s in of if s.name not in SURROUNDINGS)
    return string.Template(template).substitute(units=" ".join(units))


def hosts_file(of: Iterable[Service]) -> str:
    """Return /etc/hosts: in the guest every service's name is the guest itself."""
    names = " ".join(service.name for service in of)
    return f"127.0.0.1 localhost shop\n::1 localhost\n127.0.0.1 {names}\n"


def users_file(of: Iterable[Service]) -> str:
    """Return the services' users and their numbers, one a line, as shop/guest/add-users reads."""
    return "".join(f"{service.name} {service.uid}\n" for service in of)


def rendered_files(root: Path, shape: str) -> dict[str, str]:
    """Return the guest's files that are made from the model: path without leading slash, text."""
    guest = root / "shop/guest"
    template = (guest / "service.unit").read_text()
    units = "etc/systemd/system"
    found = services(shape)
    files = {
        "etc/hosts": hosts_file(found),
        f"{units}/triptych-workload.service": workload_mark(
            found, (guest / "workload.unit").read_text()
        ),
    }
    for service in found:
        files[f"{units}/triptych-{service.name}.service"] = unit(service, template)
        files[f"{ENVIRONMENT_DIR}/{service.name}".removeprefix("/")] = environment_file(service)
    return files
