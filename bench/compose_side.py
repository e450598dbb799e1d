"""Docker compose's side: the same containers, from the same shop model, as a compose file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import commands
from bench.stopwatch import Stopwatch
from shop import catalogue
from shop.model import SECRETS_DIR, Service

PROJECT = "triptych-bench-compose"
LABEL = "triptych.stack"
STACK = "bench-compose"
TIMEOUT_S = 300.0


def render(
    services: Sequence[Service],
    images: Mapping[str, str],
    *,
    port: int,
    releases: Mapping[str, str],
    project: str = PROJECT,
) -> dict[str, Any]:
    """Return the compose file of these services, the gateway on a port of the loopback.

    Every setting is the stack's own (``components/docker/container.py``). Secrets are files, which
    compose mounts where the stack mounts a volume. ``releases`` says which release an image is.
    """
    labels = {LABEL: STACK}
    volumes = {m.name: {"name": f"{project}-{m.name}-data"} for s in services for m in s.data}
    secrets = sorted({secret.name for s in services for secret in s.secrets})
    file = {
        "name": project,
        "services": {
            s.name: _service(s, images[s.image], port, releases, project) for s in services
        },
        "networks": {"default": {"name": project, "driver": "bridge", "labels": labels}},
        "volumes": {k: {**v, "labels": labels} for k, v in volumes.items()},
        "secrets": {name: {"file": f"./secrets/{name}"} for name in secrets},
    }
    literal: dict[str, Any] = _literal(file)
    return literal


def _service(
    service: Service, image: str, port: int, releases: Mapping[str, str], project: str
) -> dict[str, Any]:
    environment = service.environment()
    if service.name not in catalogue.SURROUNDINGS and service.image in releases:
        environment["RELEASE"] = releases[service.image]
    health = service.health
    entry: dict[str, Any] = {
        "container_name": f"{project}-{service.name}",
        "image": image,
        "pull_policy": "never",
        "command": list(service.command),
        "environment": environment,
        "hostname": service.name,
        "user": f"{service.uid}:{service.uid}",
        "working_dir": "/",
        "networks": {"default": {"aliases": [service.name]}},
        "volumes": [f"{mount.name}:{mount.path}" for mount in service.data],
        "secrets": [
            {"source": s.name, "target": f"{SECRETS_DIR}/{s.name}"} for s in service.secrets
        ],
        "tmpfs": [
            f"{m.path}:rw,noexec,nosuid,nodev,size={m.size_mib}m,"
            f"uid={service.uid},gid={service.uid},mode=0700"
            for m in service.tmpfs
        ],
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "mem_limit": f"{service.limits.memory_mib}m",
        "memswap_limit": f"{service.limits.memory_mib}m",
        "cpus": service.limits.cpus,
        "healthcheck": {
            "test": ["CMD", *health.command],
            "interval": f"{health.interval_s}s",
            "timeout": f"{health.timeout_s}s",
            "start_period": f"{health.start_period_s}s",
            "retries": health.retries,
        },
        "restart": "unless-stopped",
        "stop_signal": service.stop_signal,
        "stop_grace_period": f"{service.stop_grace_s}s",
        "logging": {"driver": "json-file", "options": {"max-file": "3", "max-size": "10m"}},
        "labels": {LABEL: STACK},
    }
    if service.name == catalogue.GATEWAY:
        entry["ports"] = [f"127.0.0.1:{port}:{service.port}"]
    return {key: value for key, value in entry.items() if value != []}


def _literal(value: Any) -> Any:
    """Return the value with ``$`` doubled: compose would fill in variables."""
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, dict):
        return {key: _literal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_literal(item) for item in value]
    return value


@dataclass(frozen=True)
class ComposeSide:
    """A compose project in a folder of its own."""

    binary: Path
    folder: Path
    url: str

    def create(self, file: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
        """Write compose file and secret files; like a Pulumi program, they are not timed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "compose.json").write_text(json.dumps(file, indent=1), encoding="utf-8")
        where = self.folder / "secrets"
        where.mkdir(mode=0o700, exist_ok=True)
        for name, content in secrets.items():
            (where / name).write_text(content, encoding="utf-8")
            # Compose binds the file itself; the services are not root.
            (where / name).chmod(0o444)

    def first_transaction(self) -> tuple[float, float]:
        """Start everything; return seconds to the first transaction, and to the command's end."""
        watch = Stopwatch(self.url)
        try:
            command = self._command("up", "--detach", "--wait")
            took = command.finish(TIMEOUT_S)
            return watch.seconds_since(command.started_at, TIMEOUT_S), took
        finally:
            watch.close()

    def down(self) -> None:
        """Remove containers, network and volumes."""
        self._command("down", "--volumes", "--timeout", "5").finish(TIMEOUT_S)

    def remove(self) -> None:
        """Remove the folder, secrets included."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _command(self, *words: str) -> commands.Command:
        file = self.folder / "compose.json"
        return commands.Command(
            [self.binary, "--file", file, "--ansi", "never", "--progress", "plain", *words],
            cwd=self.folder,
            env={},
        )
