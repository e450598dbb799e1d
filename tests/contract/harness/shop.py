"""A private shop on this host: each service of a shape in its own container, as it is deployed.

Images, settings, limits, network and gateway are those of the catalogue and of `make build`. It is
no stack, as three things have to differ: the payment gateway is a switch in this process, in front
of the real stripe-mock; time-outs are short, so that they can be waited for; CPU is not limited.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from components.credentials import _Provider as CredentialsProvider
from probe import sites
from shop import catalogue
from shop.model import Service
from stacks.artefacts import FILE, Artefacts
from tests.support import ledger, record

from .client import Target
from .payment_gateway import PaymentGateway

#: What the services of a shape are for; the monolith is for all of it.
MODULES = ("auth", "products", "cart", "payments")
#: Faster than in production, so that time-outs and recovery can be waited for.
_HASTE = {"STRIPE_TIMEOUT_S": "1", "STRIPE_MAX_RETRIES": "1", "RECOVERY_INTERVAL_S": "0.5"}
_READY_TIMEOUT_S = 300.0
_STRIPE_MOCK = "stripe-mock"


class HarnessError(Exception):
    """The private shop does not do what the tests need; the message says what."""


def wait_for(what: str, check: Callable[[], bool], *, timeout_s: float = 120.0) -> None:
    """Poll `check` every 20 ms until it is true; HarnessError after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not check():
        if time.monotonic() > deadline:
            raise HarnessError(f"{what}: not within {timeout_s:g} s")
        time.sleep(0.02)


def api_services(shape: str) -> tuple[str, ...]:
    """Return the names of a shape's services that answer the API."""
    return tuple(s.name for s in catalogue.services(shape) if s.name in (*MODULES, "monolith"))


def docker(*arguments: str) -> str:
    """Run a docker command and return what it prints."""
    done = subprocess.run(
        ["docker", *arguments],
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        raise HarnessError(f"docker {arguments[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


class Container:
    """One service as a container."""

    def __init__(self, shop: LocalShop, service: Service, name: str, options: list[str]) -> None:
        self.service = service
        self.name = f"{shop.prefix}-{name}"
        tmpfs = f"rw,noexec,nosuid,nodev,uid={service.uid},gid={service.uid},mode=0700"
        limit = f"{service.limits.memory_mib}m"
        environment = service.environment()
        if "STRIPE_API_BASE" in environment:
            environment = {**_HASTE, **environment}
        self._run = [
            *("--name", self.name, "--label", shop.label, "--network", shop.network, *options),
            *("--hostname", service.name, "--user", f"{service.uid}:{service.uid}"),
            *("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges:true"),
            *("--memory", limit, "--memory-swap", limit, "--stop-signal", service.stop_signal),
            *(f"--tmpfs={mount.path}:{tmpfs},size={mount.size_mib}m" for mount in service.tmpfs),
            *(f"--volume={mount.path}" for mount in service.data),
            *(f"--volume={shop.home / s.name}:{s.path}:ro" for s in service.secrets),
            *(f"--env={key}={value}" for key, value in environment.items()),
            shop.artefacts.image(service.image).ref,
        ]
        self._created = False
        self._address = ""

    def start(self) -> None:
        """Start it; do not wait for anything."""
        if self._created:
            docker("start", self.name)
        else:
            docker("run", "--detach", *self._run, *self.service.command)
            self._created = True
        # Another one than last time, perhaps.
        self._address = docker(
            "inspect",
            "--format",
            "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}",
            self.name,
        )

    def run_to_its_end(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run it, or another command in its place, in the foreground; return what it printed."""
        argv = ["docker", "run", "--rm", *self._run, *(command or self.service.command)]
        return subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60)

    @property
    def address(self) -> tuple[str, int]:
        """Where this host reaches it."""
        return self._address, self.service.port

    @property
    def target(self) -> Target:
        """Where it is served, without the gateway in between."""
        return Target(f"http://{self._address}:{self.service.port}")

    def well(self) -> bool:
        """Say what its own health check says."""
        check = ["docker", "exec", self.name, *self.service.health.command]
        return subprocess.run(check, check=False, capture_output=True).returncode == 0

    def status(self, path: str) -> int:
        """Return the status of GET `path`; 0 without an answer."""
        try:
            return httpx.get(f"{self.target.base_url}{path}", timeout=5).status_code
        except httpx.HTTPError:
            return 0

    def wait_until(self, path: str, timeout_s: float = _READY_TIMEOUT_S) -> None:
        """Wait until GET `path` is 200; HarnessError with its last lines if it ends instead."""

        def answers() -> bool:
            if self.status(path) == 200:
                return True
            if not self.running():
                raise HarnessError(f"{self.name} has ended:\n{self.log()[-3000:]}")
            return False

        try:
            wait_for(f"{self.name}: {path}", answers, timeout_s=timeout_s)
        except HarnessError as error:
            raise HarnessError(f"{error}\n{self.log()[-3000:]}") from None

    def running(self) -> bool:
        """Say whether its process is there."""
        return docker("inspect", "--format", "{{.State.Running}}", self.name) == "true"

    def log(self) -> str:
        """Return everything it has printed."""
        done = subprocess.run(
            ["docker", "logs", self.name],
            check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        return done.stdout

    def records(self) -> list[dict[str, Any]]:
        """Return its log as the records that it consists of. Raises HarnessError if it does not."""
        found = []
        for line in self.log().splitlines():
            try:
                found.append(json.loads(line))
            except ValueError as error:
                raise HarnessError(f"{self.name} logged what is no record: {line!r}") from error
        return found

    def stop(self, how: signal.Signals | None = None) -> int:
        """Send its stop signal, or another one, wait for its end, and return the exit code."""
        if self.running():
            docker("kill", "--signal", how.name if how else self.service.stop_signal, self.name)
        return self.wait()

    def wait(self) -> int:
        """Wait for its end and return the exit code."""
        return int(docker("wait", self.name))

    def remove(self) -> None:
        """Remove it, running or not."""
        if self._created:
            docker("rm", "--force", "--volumes", self.name)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Kill it, and start it again after the block."""
        self.stop(signal.SIGKILL)
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Freeze it inside the block: connections stay open, nothing is answered."""
        docker("pause", self.name)
        try:
            yield
        finally:
            docker("unpause", self.name)


class LocalShop:
    """A whole private shop of one shape, removed with everything it wrote by `close`."""

    def __init__(self, shape: str) -> None:
        self.shape = shape
        self._identity = identity = f"contract-{secrets.token_hex(3)}"
        ledger.made("private shop", identity)
        record.deployed("private shop", shape, identity)
        self.prefix = self.network = f"triptych-{identity}"
        # By this label `make clean` finds what is left when nothing else could remove it.
        self.label = f"triptych.stack={identity}"
        self.artefacts = Artefacts.load(Path(os.environ.get("TRIPTYCH_ARTEFACTS") or FILE))
        self.home = Path(tempfile.mkdtemp(prefix="triptych-contract-"))
        self._janitor = self._hire_janitor()
        self.payment_gateway: PaymentGateway | None = None
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    @staticmethod
    def remove_abandoned() -> list[str]:
        """Remove what killed test runs of this clone left; return the names."""
        names = [entry.name for entry in ledger.abandoned() if entry.kind == "private shop"]
        for name in names:
            containers = docker("ps", "-aq", "--filter", f"label=triptych.stack={name}").split()
            if containers:
                docker("rm", "--force", "--volumes", *containers)
            if docker("network", "ls", "--quiet", "--filter", f"name=^triptych-{name}$"):
                docker("network", "rm", f"triptych-{name}")
            ledger.removed(name)
        return names

    def _hire_janitor(self) -> subprocess.Popen[bytes]:
        """Start the process that cleans up once this one closes its standard input, or dies."""
        script = (
            "cat >/dev/null;"
            ' docker ps --all --quiet --filter "label=$1" | xargs -r docker rm --force --volumes;'
            ' docker network rm "$2"; rm -rf "$3"'
        )
        return subprocess.Popen(
            ["sh", "-c", script, "sh", self.label, self.network, str(self.home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _start(self) -> None:
        docker("network", "create", "--label", self.label, self.network)
        host = docker(
            "network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", self.network
        )
        port = sites.free_port()
        material = CredentialsProvider().create(
            {"dns_names": ["localhost"], "ip_addresses": ["127.0.0.1"]}
        )
        self._write_secrets({**(material.outs or {}), "stripe_api_key": "sk_test_123"})
        self.target = Target(f"https://127.0.0.1:{port}", self.home / "ca_certificate")
        self.containers: dict[str, Container] = {}
        self._options = [f"--add-host={_STRIPE_MOCK}:{host}"]
        for service in catalogue.services(self.shape):
            options = [*self._options]
            if service.name != _STRIPE_MOCK:
                options += ["--network-alias", service.name]
            if service.name == catalogue.GATEWAY:
                options += ["--publish", f"127.0.0.1:{port}:{service.port}"]
            container = Container(self, service, service.name, options)
            container.start()
            self.containers[service.name] = container
        stripe_mock = self.containers[_STRIPE_MOCK]
        self.payment_gateway = PaymentGateway((host, stripe_mock.service.port), stripe_mock.address)
        self.wait_ready()

    def _write_secrets(self, values: Mapping[str, Any]) -> None:
        # Each service has a user of its own, who has to be able to read its files.
        self.home.chmod(0o711)
        for name in (*catalogue_secrets(self.shape), "ca_certificate"):
            (self.home / name).write_text(values[name])

    @property
    def jwt_key(self) -> EllipticCurvePrivateKey:
        """The key that signs access tokens."""
        key = load_pem_private_key((self.home / "jwt_private_key").read_bytes(), None)
        assert isinstance(key, EllipticCurvePrivateKey)
        return key

    @property
    def payments(self) -> PaymentGateway:
        """The switch in front of stripe-mock."""
        assert self.payment_gateway is not None, "not started"
        return self.payment_gateway

    @property
    def postgres(self) -> Container:
        """The database."""
        return self.containers["postgres"]

    @property
    def valkey(self) -> Container:
        """The store of carts and sessions."""
        return self.containers["valkey"]

    def service(self, module: str) -> Container:
        """Return the service that answers for a module: of its name, or the monolith."""
        return self.containers.get(module) or self.containers["monolith"]

    @contextmanager
    def another(self, name: str, **environment: str) -> Iterator[Container]:
        """Yield another instance of a service, not started, with changes to its environment.

        It works on the same stores; nobody but the test sends it requests.
        """
        original = self.containers[name].service
        service = replace(original, env={**original.env, **environment})
        service = replace(
            service, secrets=tuple(s for s in service.secrets if s.variable not in environment)
        )
        container = Container(self, service, f"{name}-{secrets.token_hex(3)}", self._options)
        try:
            yield container
        finally:
            container.remove()

    def wait_ready(self) -> None:
        """Wait until the whole shop is ready."""
        with self.target.open(timeout=5) as client:

            def ready() -> bool:
                try:
                    return client.get("/health/ready").status_code == 200
                except httpx.HTTPError:
                    ended = [c for c in self.containers.values() if not c.running()]
                    if ended:
                        raise HarnessError(
                            "\n".join(f"{c.name} has ended:\n{c.log()[-3000:]}" for c in ended)
                        ) from None
                    return False

            wait_for(f"the {self.shape} shop", ready, timeout_s=_READY_TIMEOUT_S)

    def psql(self, statement: str, *, module: str = "public", database: str = "shop") -> str:
        """Run a statement on a module's tables and return its unadorned output."""
        schema = "public" if self.shape == "monolith" else module
        return docker(
            "exec", "--env", f"PGOPTIONS=-c search_path={schema}", self.postgres.name,
            "/usr/lib/postgresql/17/bin/psql", "-h", "/run/postgresql", "-U", "postgres",
            "-d", database, "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", statement,
        )  # fmt: skip

    def close(self) -> None:
        """Remove everything."""
        if self.payment_gateway is not None:
            self.payment_gateway.close()
        assert self._janitor.stdin is not None
        self._janitor.stdin.close()
        self._janitor.wait()
        shutil.rmtree(self.home, ignore_errors=True)
        ledger.removed(self._identity)


def catalogue_secrets(shape: str) -> set[str]:
    """Return the names of the secrets that a shape's services are given."""
    return {secret.name for s in catalogue.services(shape) for secret in s.secrets}
