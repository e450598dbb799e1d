"""The gateway's image with the catalogue's routes, in front of services that say who they are."""

from __future__ import annotations

import gzip
import json
import re
import secrets
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from probe import sites
from shop import catalogue
from tests.support.probe_server import make_authority

ROOT = Path(__file__).resolve().parents[2]
POLICY = {
    "data": "default-src 'none'; frame-ancestors 'none'",
    "page": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
        " connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self';"
        " frame-ancestors 'none'"
    ),
}

pytestmark = pytest.mark.docker


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_args: Any) -> None:
        """Say nothing: some of these tests are about answers that nobody waits for."""


def stub(name: str) -> ThreadingHTTPServer:
    """Return a server that answers with its name, the path asked for and the request's id."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            self._read()
            if self.path == "/api/v1/cart" and self.command == "DELETE":
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return
            said = {
                "service": name,
                "path": self.path,
                "request_id": self.headers.get("X-Request-ID"),
                "filling": "x" * 2000,
            }
            body = json.dumps(said).encode()
            self.send_response(200)
            if self.path.endswith(".js"):
                body = gzip.compress(body)
                self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            # What the gateway has to say something else about.
            self.send_header("Content-Security-Policy", "default-src *")
            self.send_header("Server", "stub")
            self.end_headers()
            self.wfile.write(body)

        def _read(self) -> None:
            if self.headers.get("Transfer-Encoding"):
                while size := int(self.rfile.readline() or b"0", 16):
                    self.rfile.read(size + 2)
                self.rfile.readline()
            self.rfile.read(int(self.headers.get("Content-Length", 0)))

        do_GET = do_PUT = do_DELETE = _answer

        def log_message(self, *_args: Any) -> None:
            pass

    server = _Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@dataclass
class Gateway:
    """A gateway that runs, and a client that trusts its certificate."""

    shape: str
    client: httpx.Client

    def whom(self, path: str) -> tuple[str, str]:
        """Return which service answers a path, and what path it was asked for."""
        said = self.client.get(path).raise_for_status().json()
        return said["service"], said["path"]


@pytest.fixture(scope="module", params=catalogue.SHAPES)
def gateway(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    built = ROOT / ".triptych" / "artefacts.json"
    if not built.exists():
        pytest.fail("nothing is built yet: run `make build` first")
    image = json.loads(built.read_text())["images"]["gateway"]["ref"]
    shape = request.param
    services = {s.name: s for s in catalogue.services(shape)}
    service = services[catalogue.GATEWAY]
    folder = tmp_path_factory.mktemp("gateway")
    authority = make_authority(folder)
    folder.chmod(0o755)
    (folder / "key.pem").chmod(0o644)
    stubs = {name: stub(name) for name, s in services.items() if s.routes}
    port = sites.free_port()
    environment = {
        **service.env,
        "LISTEN_PORT": str(port),
        "TLS_CERTIFICATE_FILE": "/secrets/cert.pem",
        "TLS_PRIVATE_KEY_FILE": "/secrets/key.pem",
    }
    for name, server in stubs.items():
        there = f"127.0.0.1:{server.server_address[1]}"
        routes = environment["ROUTES"]
        environment["ROUTES"] = routes.replace(services[name].address, there)
    container = f"triptych-test-gateway-{secrets.token_hex(3)}"
    command = ["docker", "run", "--detach", "--rm", "--name", container, "--network", "host"]
    command += ["--read-only", "--tmpfs", f"/tmp:uid={service.uid},mode=0700"]
    command += ["--volume", f"{folder}:/secrets:ro", "--user", str(service.uid)]
    command += [word for pair in environment.items() for word in ("--env", "=".join(pair))]
    subprocess.run([*command, image, *service.command], check=True, capture_output=True)
    client = httpx.Client(
        base_url=f"https://127.0.0.1:{port}",
        verify=ssl.create_default_context(cadata=authority),
        trust_env=False,
        timeout=10,
    )
    try:
        _wait(client, container)
        yield Gateway(shape, client)
    finally:
        client.close()
        subprocess.run(["docker", "rm", "--force", container], check=False, capture_output=True)
        for server in stubs.values():
            server.shutdown()
            server.server_close()


def _wait(client: httpx.Client, container: str) -> None:
    deadline_s = time.monotonic() + 30
    while True:
        try:
            client.get("/health/live")
            return
        except httpx.ConnectError as error:
            if time.monotonic() > deadline_s:
                log = subprocess.run(["docker", "logs", container], capture_output=True, text=True)
                raise AssertionError(f"the gateway does not answer: {log.stderr}") from error
            time.sleep(0.05)


ANSWERED_BY = {
    "/api/v1/auth/login": "auth",
    "/.well-known/jwks.json": "auth",
    "/api/v1/products": "products",
    "/api/v1/products/7": "products",
    "/api/v1/cart": "cart",
    "/api/v1/cart/items/7": "cart",
    "/api/v1/checkout": "payments",
    "/api/v1/orders": "payments",
    "/api/v1/orders/x": "payments",
    "/health/live": "payments",
    "/": "frontend",
    "/products/7": "frontend",
    "/cart": "frontend",
    "/orders/x": "frontend",
    "/assets/index.css": "frontend",
    "/favicon.svg": "frontend",
    "/products": "products",
    "/nonsense": "products",
    "/health/shop": "products",
}


@pytest.mark.parametrize(("path", "service"), ANSWERED_BY.items())
def test_paths_go_where_they_belong(gateway: Gateway, path: str, service: str) -> None:
    expected = service if gateway.shape == "microservices" else "monolith"
    assert gateway.whom(path) == (expected, path)


def test_readiness_is_the_whole_shops(gateway: Gateway) -> None:
    expected = {
        "microservices": ("payments", "/health/shop"),
        "monolith": ("monolith", "/health/ready"),
    }
    assert gateway.whom("/health/ready") == expected[gateway.shape]


@pytest.mark.parametrize(
    "path",
    [
        "/metrics",
        "/internal/v1/products?ids=1",
        "/Internal/v1/products",
        "//internal/v1/products",
        "/api/v1/products/..%2f..%2f..%2finternal%2fv1%2fproducts",
    ],
)
def test_what_is_inside_is_not_outside(gateway: Gateway, path: str) -> None:
    answer = gateway.client.get(f"{gateway.client.base_url}".rstrip("/") + path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:triptych:problem:not-found"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("path", "policy"),
    [("/", "page"), ("/orders", "page"), ("/api/v1/orders", "data"), ("/metrics", "data")],
)
def test_one_policy_by_kind_of_answer(gateway: Gateway, path: str, policy: str) -> None:
    answer = gateway.client.get(path)
    assert answer.headers.get_list("content-security-policy") == [POLICY[policy]]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert "server" not in answer.headers


@pytest.mark.parametrize("given", ["a", "A-1._z", "x" * 64])
def test_a_good_request_id_is_kept(gateway: Gateway, given: str) -> None:
    said = gateway.client.get("/api/v1/cart", headers={"X-Request-ID": given}).json()
    assert said["request_id"] == given


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, 'a"b'])
def test_any_other_is_replaced(gateway: Gateway, given: str) -> None:
    said = gateway.client.get("/api/v1/cart", headers={"X-Request-ID": given}).json()
    assert said["request_id"] != given
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", said["request_id"])


def test_answers_are_compressed_once(gateway: Gateway) -> None:
    headers = {"Accept-Encoding": "gzip"}
    data = gateway.client.get("/api/v1/products", headers=headers)
    assert data.headers.get_list("content-encoding") == ["gzip"]
    script = gateway.client.get("/assets/index.js", headers=headers)
    assert script.headers.get_list("content-encoding") == ["gzip"]
    assert script.json()["path"] == "/assets/index.js"
    plain = gateway.client.get("/api/v1/products", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers


def chunks(size: int) -> Iterator[bytes]:
    for start in range(0, size, 1024):
        yield b" " * min(1024, size - start)


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize(("size", "status"), [(65536, 200), (65537, 413), (1_000_000, 413)])
def test_the_contracts_limit_on_bodies(
    gateway: Gateway, size: int, status: int, declared: bool
) -> None:
    body = b" " * size if declared else chunks(size)
    answer = gateway.client.put("/api/v1/cart/items/1", content=body)
    assert answer.status_code == status
    if status == 413:
        assert answer.json()["type"] == "urn:triptych:problem:body-too-large"


def test_a_service_that_breaks_off_is_a_503(gateway: Gateway) -> None:
    answer = gateway.client.delete("/api/v1/cart")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["type"] == "urn:triptych:problem:dependency-unavailable"
