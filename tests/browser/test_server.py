"""The server of the pages, asked without the gateway: its files, its health, its logs, its end."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest

from tests.contract.harness.shop import Container, LocalShop, wait_for

pytestmark = [pytest.mark.local, pytest.mark.only("microservices")]


@pytest.fixture
def server(local_shop: LocalShop) -> Container:
    return local_shop.containers["frontend"]


@pytest.fixture
def http(server: Container) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.target.base_url, headers={"accept-encoding": ""}) as client:
        yield client


def test_live_and_ready(http: httpx.Client) -> None:
    assert http.get("/health/live").json() == {"status": "live"}
    ready = http.get("/health/ready")
    assert ready.json() == {"status": "ready", "checks": {"files": "up"}}
    assert ready.headers["content-type"] == "application/json"
    assert ready.headers["cache-control"] == "no-store"


def test_metrics(http: httpx.Client) -> None:
    text = http.get("/metrics").text
    assert "caddy_http_requests_total{" in text
    assert "process_resident_memory_bytes " in text


@pytest.mark.parametrize("name", ["x", "trace.me_4-7", "y" * 64])
def test_a_well_formed_request_id_is_kept(http: httpx.Client, name: str) -> None:
    for path in ("/", "/health/live", "/nothing"):
        response = http.get(path, headers={"x-request-id": name})
        assert response.headers.get_list("x-request-id") == [name]


@pytest.mark.parametrize("name", ["", "a b", "y" * 65, '"><script>'])
def test_another_request_id_is_replaced(http: httpx.Client, name: str) -> None:
    for path in ("/", "/nothing"):
        response = http.get(path, headers={"x-request-id": name})
        (made,) = response.headers.get_list("x-request-id")
        assert made != name
        assert 1 <= len(made) <= 64


@pytest.mark.parametrize(
    ("coding", "end"), [("br", b""), ("gzip", b"\x1f\x8b"), ("", b"<!doctype")]
)
def test_each_compression_is_there_ready_made(http: httpx.Client, coding: str, end: bytes) -> None:
    with http.stream("GET", "/cart", headers={"accept-encoding": coding}) as response:
        body = b"".join(response.iter_raw())
    assert response.headers.get("content-encoding", "") == coding
    assert body.startswith(end)
    assert response.headers["content-type"] == "text/html; charset=utf-8"


def test_the_page_has_a_tag_of_its_contents(http: httpx.Client) -> None:
    page = http.get("/")
    tag = page.headers["etag"]
    assert page.headers["cache-control"] == "no-cache"
    assert "last-modified" not in page.headers
    for offered in (tag, tag.removeprefix("W/"), f'"other", {tag}'):
        known = http.get("/orders", headers={"if-none-match": offered})
        assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", tag)
    for offered in ('"other"', tag[3:-1], f'"0{tag[3:]}'):
        assert http.get("/", headers={"if-none-match": offered}).status_code == 200
    later = {"if-modified-since": "Fri, 01 Jan 2100 00:00:00 GMT"}
    assert http.get("/", headers=later).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/index.html", "/index.html.br", "/page-tag.caddy", "/Caddyfile", "/assets", "/assets/",
     "/products", "/products/", "/products/1/2", "/orders/", "/orders/1/2", "/favicon.svg.br",
     "/assets/../index.html", "/assets/%2e%2e/index.html", '/"quoted"'],
)  # fmt: skip
def test_nothing_else_is_served(http: httpx.Client, path: str) -> None:
    response = http.get(path)
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    problem = json.loads(response.text)
    assert (problem["type"], problem["status"]) == ("urn:triptych:problem:not-found", 404)
    assert problem["request_id"] == response.headers["x-request-id"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_everything_is_only_read(http: httpx.Client, method: str) -> None:
    for path in ("/", "/health/live", "/favicon.svg"):
        response = http.request(method, path)
        assert response.status_code == 405
        assert response.headers["allow"] == "GET, HEAD"
        assert response.json()["type"] == "urn:triptych:problem:method-not-allowed"


def test_every_answer_is_hardened(http: httpx.Client) -> None:
    for path in ("/", "/favicon.svg", "/health/live", "/nothing"):
        headers = http.get(path).headers
        assert headers["content-security-policy"].startswith(
            "default-src 'none'; script-src 'self'"
        )
        assert headers["x-content-type-options"] == "nosniff"
        assert "server" not in headers


def test_requests_are_logged_as_records(http: httpx.Client, server: Container) -> None:
    name, quiet = f"log-{uuid4()}", f"log-{uuid4()}"
    http.get("/health/ready", headers={"x-request-id": quiet})
    http.get("/cart", headers={"x-request-id": name, "authorization": "Bearer secret"})
    wait_for("the access log", lambda: name in server.log(), timeout_s=5)
    (line,) = [record for record in server.records() if name in json.dumps(record)]
    assert line["level"] == "info"
    assert (line["request"]["method"], line["request"]["uri"]) == ("GET", "/cart")
    assert line["status"] == 200
    assert "secret" not in server.log()
    assert quiet not in server.log()


def test_it_ends_when_asked_to(local_shop: LocalShop) -> None:
    with local_shop.another("frontend") as server:
        server.start()
        server.wait_until("/health/ready")
        assert server.stop(signal.SIGTERM) == 0
