"""A little HTTPS server that stands for a gateway and its shop."""

from __future__ import annotations

import datetime
import ipaddress
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def make_authority(folder: Path) -> str:
    """Write a server certificate and its key to the folder; return its authority's certificate."""
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    root_key, key = _key(), _key()
    root = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
    authority = (
        x509.CertificateBuilder()
        .subject_name(root)
        .issuer_name(root)
        .public_key(root_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=True,
                crl_sign=True,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(root_key.public_key()), critical=False
        )
        .sign(root_key, hashes.SHA256())
    )
    leaf = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway")]))
        .issuer_name(root)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()),
            critical=False,
        )
        .sign(root_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(leaf.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return authority.public_bytes(pem).decode()


@dataclass
class Shop:
    """What the server answers; tests change it while it runs."""

    ca_certificate: str = ""
    port: int = 0
    ready_status: int = 200
    checkout_failures: int = 0
    order_status: str = "paid"
    page: str = '<!doctype html><script type="module" src="/assets/index-1.js"></script>'
    history: tuple[str, ...] = ("o1",)
    delay_s: float = 0.0
    requests: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def answer(self, method: str, path: str, _body: Any) -> tuple[int, Any]:
        """Return status and body: JSON, or a text as it stands."""
        route = path.partition("?")[0]
        self.requests.append(f"{method} {route}")
        time.sleep(self.delay_s)
        match method, route:
            case "GET", "/health/ready":
                return self.ready_status, {"status": "ready"}
            case "GET", "/health/live":
                return 200, {"status": "live"}
            case "GET", "/":
                return 200, self.page
            case "GET", "/assets/index-1.js":
                return 200, "console.log(1)"
            case "POST", "/api/v1/auth/register":
                return 201, {"id": "u1"}
            case "POST", "/api/v1/auth/login":
                return 200, {"access_token": "t", "token_type": "bearer", "expires_in": 60}
            case "GET", "/api/v1/products":
                item = {"id": "p1", "stock": 3}
                return 200, {"items": [item], "total": 1, "page": 1, "page_size": 20}
            case "GET", "/api/v1/products/p1":
                return 200, {"id": "p1", "stock": 3}
            case "PUT", "/api/v1/cart/items/p1":
                return 200, {"items": []}
            case "POST", "/api/v1/checkout":
                if self.checkout_failures > 0:
                    self.checkout_failures -= 1
                    return 503, {"title": "not yet"}
                return 201, {"id": "o1", "status": self.order_status}
            case "GET", "/api/v1/orders":
                return 200, {"items": [{"id": order} for order in self.history]}
        return 404, {"title": "not found"}


class _Server(ThreadingHTTPServer):
    """Keeps its threads from holding up the end of a test."""

    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_args: Any) -> None:
        """Say nothing: clients that go away are what these tests are about."""


ShopT = TypeVar("ShopT", bound=Shop)


@contextmanager
def serve(folder: Path, shop: ShopT, *, port: int = 0) -> Iterator[ShopT]:
    """Serve the shop over TLS until the end of the block."""
    if not shop.ca_certificate:
        shop.ca_certificate = make_authority(folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _reply(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, data = shop.answer(self.command, self.path, body)
            text = data.encode() if isinstance(data, str) else json.dumps(data).encode()
            kind = "application/json"
            if isinstance(data, str):
                kind = "text/javascript" if self.path.endswith(".js") else "text/html"
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PUT = _reply

        def log_message(self, *_args: Any) -> None:
            pass

    server = _Server(("127.0.0.1", port), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    shop.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield shop
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
