"""The services of the microservices: against their bare handlers, and how long they take to start.

One compose project has the whole shop with the stack's own settings, and beside each service its
bare handler with the same settings and limits. Load goes from the host straight to a container.
"""

from __future__ import annotations

import subprocess
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import docker
import httpx
from docker.errors import DockerException

from bench import builds, compose_side, load, material
from bench.compose_side import ComposeSide
from bench.figures import Figure, bounded, compared, kept, not_tested
from bench.page import first_load
from probe.errors import ProbeError
from probe.poller import GatewayPoller
from probe.transaction import unchecked_context
from probe.vegeta import Request
from shop import catalogue
from shop.model import Service
from toolchain.paths import Paths

SHAPE: Final = "microservices"
PROJECT: Final = "triptych-bench-services"
#: How much of a bare handler's throughput a service has to keep.
KEPT: Final = 0.7
#: How much longer than its slowest service's start the whole shop may take.
START: Final = 1.5
FIRST_LOAD_KB: Final = 200.0

#: Each side is loaded for so long before it counts, with all the CPU there is, and then in turns.
WARM_UP_S: Final = 5.0
WINDOW_S: Final = 5.0
#: A log-in costs a password's hash, so few of them fit into a second.
WINDOWS_S: Final = {"auth": 12.0}
_READY_S: Final = 120.0
_PASSWORD: Final = "correct horse battery staple"


def hot_name(service: str) -> str:
    """Return the name of a service's figure."""
    return f"hot-{service}"


@dataclass(frozen=True)
class Customer:
    """Somebody with a filled cart and an order behind them."""

    email: str
    token: str
    product: int

    def hot(self) -> dict[str, Request]:
        """Return the request that each service gets most."""
        who = {"Authorization": f"Bearer {self.token}"}
        credentials = {"email": self.email, "password": _PASSWORD}
        return {
            "auth": Request("POST", "/api/v1/auth/login", body=credentials),
            "products": Request("GET", f"/api/v1/products/{self.product}"),
            "cart": Request("GET", "/api/v1/cart", who),
            "payments": Request("GET", "/api/v1/orders", who),
            "frontend": Request("GET", "/"),
        }


#: The services that have a hot request.
HOT: Final = tuple(Customer("", "", 0).hot())
#: Every figure with its unit and limit.
FIGURES: Final = {
    "shop-start": ("s", START),
    "first-load": ("KB", FIRST_LOAD_KB),
    **{hot_name(name): ("1/s", KEPT) for name in HOT},
}


def become_customer(url: str) -> Customer:
    """Register, buy three different things, and leave three in the cart."""
    email = f"bench-{uuid.uuid4().hex[:12]}@example.org"
    with httpx.Client(
        base_url=url, verify=unchecked_context(), trust_env=False, timeout=30
    ) as client:

        def ask(status: int, method: str, path: str, **more: Any) -> Any:
            answer = client.request(method, path, **more)
            if answer.status_code != status:
                raise ProbeError(f"{method} {path}: status {answer.status_code}: {answer.text}")
            return answer.json()

        account = {"email": email, "password": _PASSWORD}
        ask(201, "POST", "/api/v1/auth/register", json={**account, "name": "Bench"})
        token = ask(200, "POST", "/api/v1/auth/login", json=account)["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        found = ask(200, "GET", "/api/v1/products", params={"page_size": 50})["items"]
        products = [product["id"] for product in found if product["stock"] > 0][:3]
        for order in (True, False):
            for product in products:
                ask(200, "PUT", f"/api/v1/cart/items/{product}", json={"quantity": 1})
            if order:
                key = {"Idempotency-Key": str(uuid.uuid4())}
                paid = {"payment_method": "pm_card_visa"}
                ask(201, "POST", "/api/v1/checkout", json=paid, headers=key)
    return Customer(email, token, products[0])


def compose_file(
    images: Mapping[str, str],
    bare_images: Mapping[str, str],
    releases: Mapping[str, str],
    port: int,
) -> dict[str, Any]:
    """Return the shop's compose file, with a bare handler beside each service that has one."""
    services = catalogue.services(SHAPE)
    file = compose_side.render(services, images, port=port, releases=releases, project=PROJECT)
    for name, image in bare_images.items():
        entry = {**file["services"][name], "image": image}
        entry["container_name"] = container(name, bare=True)
        entry["hostname"] = f"{name}-bare"
        entry["networks"] = {"default": {"aliases": [f"{name}-bare"]}}
        # No deployment before has pulled it.
        entry["pull_policy"] = "missing"
        # The image knows how to start it; whether it is well is seen when it is asked.
        for key in ("command", "healthcheck"):
            entry.pop(key)
        file["services"][f"{name}-bare"] = entry
    return file


def container(service: str, *, bare: bool = False) -> str:
    """Return the name of a service's container, or of its bare handler's."""
    return f"{PROJECT}-{service}{'-bare' if bare else ''}"


@dataclass
class Bench:
    """The shop with the bare handlers beside it, while it is up."""

    paths: Paths
    artefacts: Mapping[str, Any]
    compose: ComposeSide
    vegeta: Path
    port: int
    say: Callable[[str], None]
    _client: docker.DockerClient = field(init=False)

    def __post_init__(self) -> None:
        """Connect to the daemon."""
        try:
            self._client = docker.from_env()
        except DockerException as error:
            raise ProbeError(f"the Docker daemon does not answer: {error}") from None

    def measure(self, wanted: Sequence[str], rounds: int) -> list[Figure]:
        """Return the figures asked for. The caller takes the project down."""
        hot = [name for name in HOT if hot_name(name) in wanted]
        images = {name: image["ref"] for name, image in self.artefacts["images"].items()}
        bare_images = {}
        for name in hot:
            self.say(f"  the bare handler of {name}")
            bare_images[name] = builds.bare_image(self.paths, name)
        releases = dict(self.artefacts["sources"])
        file = compose_file(images, bare_images, releases, self.port)
        self.compose.create(file, material.make())
        self.compose.first_transaction()
        todo: dict[str, Callable[[], Figure]] = {
            "first-load": self._first_load,
            "shop-start": lambda: self._start(max(rounds - 1, 1), hot),
            **{hot_name(name): partial(self._hot, name, rounds) for name in hot},
        }
        return [self._tried(name, todo[name]) for name in todo if name in wanted]

    def _tried(self, name: str, measure: Callable[[], Figure]) -> Figure:
        """Return a figure; one that breaks leaves the others alone."""
        try:
            return measure()
        except (ProbeError, httpx.HTTPError) as error:
            self.say(f"  {name} broken off: {error}")
            unit, limit = FIGURES[name]
            return not_tested(name, str(error), unit=unit, limit=limit, failed=True)

    def _first_load(self) -> Figure:
        loaded = first_load(self.compose.url)
        listed = ", ".join(f"{path} {size / 1000:.1f}" for path, size in loaded.bodies.items())
        return bounded(
            "first-load",
            [loaded.size_bytes / 1000],
            unit="KB",
            limit=FIRST_LOAD_KB,
            note=f"bodies as they travel, gzip: {listed}",
        )

    def _start(self, rounds: int, hot: Sequence[str]) -> Figure:
        """Hold the shop's start against that of its slowest service, started alone."""
        self._each("stop", [container(name, bare=True) for name in hot])
        try:
            return self._starts(rounds)
        finally:
            self._each("start", [container(name, bare=True) for name in hot])

    def _starts(self, rounds: int) -> Figure:
        services = catalogue.services(SHAPE)
        own = [s for s in services if s.name not in catalogue.SURROUNDINGS]
        alone: dict[str, list[float]] = {s.name: [] for s in own}
        whole: list[float] = []
        for number in range(rounds):
            for service in own:
                alone[service.name].append(self._started_alone(service))
            whole.append(self._started([container(s.name) for s in services], self.compose.url))
            last = ", ".join(f"{name} {times[-1]:.2f}" for name, times in alone.items())
            self.say(f"  start, round {number + 1}: shop {whole[-1]:.2f}, alone: {last}")
        slowest = max(alone, key=lambda name: sorted(alone[name])[len(alone[name]) // 2])
        return compared(
            "shop-start",
            whole,
            alone[slowest],
            limit=START,
            note=f"all containers started at once, to ready; beside {slowest}, the slowest, alone",
        )

    def _started_alone(self, service: Service) -> float:
        name = container(service.name)
        return self._started([name], lambda: f"http://{self._address(name)}:{service.port}")

    def _started(self, names: Sequence[str], url: str | Callable[[], str]) -> float:
        """Stop containers, start them and return the seconds until ready."""
        self._each("stop", names)
        began = time.monotonic()
        self._each("start", names)
        poller = GatewayPoller(f"{url if isinstance(url, str) else url()}/health/ready")
        poller.start()
        try:
            poller.wait(_READY_S)
        finally:
            ready_at = poller.stop().ready_at
        if ready_at is None:
            raise ProbeError(f"{', '.join(names)}: not ready within {_READY_S:.0f} s")
        return ready_at - began

    def _hot(self, name: str, rounds: int) -> Figure:
        """Load service and bare handler in turns; everybody else has all the CPU there is."""
        service = next(s for s in catalogue.services(SHAPE) if s.name == name)
        request = become_customer(self.compose.url).hot()[name]
        sides = {"service": container(name), "bare": container(name, bare=True)}
        urls = {
            side: f"http://{self._address(where)}:{service.port}" for side, where in sides.items()
        }
        self._same_answer(request, urls)
        everyone = [container(s.name) for s in catalogue.services(SHAPE)]
        self._cpus(2.0, {*everyone, *sides.values()})
        for url in urls.values():
            load.throughput(self.vegeta, request, url, WARM_UP_S)
        self._cpus(service.limits.cpus, sides.values())
        window_s = WINDOWS_S.get(name, WINDOW_S)
        found: dict[str, list[float]] = {side: [] for side in sides}
        for number in range(rounds):
            turns = list(sides) if number % 2 == 0 else list(sides)[::-1]
            for side in turns:
                found[side].append(load.throughput(self.vegeta, request, urls[side], window_s))
            both = ", ".join(f"{side} {values[-1]:.1f}/s" for side, values in found.items())
            self.say(f"  {name}, round {number + 1}: {both}")
        return kept(
            hot_name(name),
            found["service"],
            found["bare"],
            limit=KEPT,
            note=f"{request.method} {request.path.rstrip('0123456789')}, {load.WORKERS} at once,"
            f" both with {service.limits.cpus:g} CPU and {service.limits.memory_mib} MiB",
        )

    def _same_answer(self, request: Request, urls: Mapping[str, str]) -> None:
        """See that both sides answer the same, or there is nothing to compare."""
        answers = {}
        for side, url in urls.items():
            answers[side] = self._answer(request, url)
        if request.method == "GET":
            service, bare_one = (answers[side].content for side in ("service", "bare"))
            if service != bare_one and _json(answers["service"]) != _json(answers["bare"]):
                raise ProbeError(f"{request.path}: the bare handler answers something else")

    def _answer(self, request: Request, url: str) -> httpx.Response:
        """Return the first good answer; a bare handler has no other way to say that it is ready."""
        deadline_s = time.monotonic() + _READY_S
        while True:
            last = "nothing"
            try:
                answer = httpx.request(
                    request.method,
                    f"{url}{request.path}",
                    headers=dict(request.headers),
                    json=request.body,
                    timeout=20,
                    trust_env=False,
                )
                if answer.status_code == 200:
                    return answer
                last = f"status {answer.status_code}"
            except httpx.HTTPError as error:
                last = str(error)
            if time.monotonic() > deadline_s:
                raise ProbeError(f"{url}{request.path}: {last} after {_READY_S:.0f} s")
            time.sleep(0.1)

    def _address(self, name: str) -> str:
        try:
            details = self._client.api.inspect_container(name)
            address = details["NetworkSettings"]["Networks"][PROJECT]["IPAddress"]
        except (DockerException, KeyError) as error:
            raise ProbeError(f"{name} has no address: {error}") from None
        return str(address)

    def _cpus(self, cpus: float, names: Iterable[str]) -> None:
        _docker("update", "--cpus", f"{cpus:g}", *sorted(names))

    def _each(self, verb: str, names: Sequence[str]) -> None:
        if names:
            _docker(verb, *names)

    def close(self) -> None:
        """Close the connection to the daemon."""
        self._client.close()


def _docker(*words: str) -> None:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ProbeError(f"docker {words[0]}: {done.stderr.strip().splitlines()[-1:]}")


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return answer.content
