"""Each service by itself, asked without the gateway: health, metrics, logs, errors, its end."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import uuid4

import httpx
import pytest

from .harness.client import Customer, problem_slug
from .harness.shop import Container, LocalShop, wait_for

pytestmark = pytest.mark.local

#: What each service cannot do without, as its readiness names it.
STORES = {
    "monolith": {"database", "cart_store"},
    "auth": {"database", "session_store"},
    "products": {"database"},
    "cart": {"cart_store", "keys"},
    "payments": {"database", "keys"},
}
#: A request that each service answers with 200, and its route in the contract.
GOOD = {
    "monolith": ("/api/v1/products/7", "/api/v1/products/{product_id}"),
    "auth": ("/.well-known/jwks.json", "/.well-known/jwks.json"),
    "products": ("/api/v1/products/7", "/api/v1/products/{product_id}"),
    "cart": ("/api/v1/cart", "/api/v1/cart"),
    "payments": ("/api/v1/orders", "/api/v1/orders"),
}


@pytest.fixture
def caller(service: Container, member: Customer) -> Iterator[Customer]:
    """Someone who is logged in and speaks to the service itself."""
    with Customer(service.target) as caller:
        caller.tokens = member.tokens
        yield caller


def test_live(caller: Customer) -> None:
    assert caller.get("/health/live").json() == {"status": "live"}


def test_ready_names_its_own_stores(caller: Customer, service_name: str) -> None:
    response = caller.get("/health/ready")
    assert response.status_code == 200
    assert response.json() == {
        "status": "ready",
        "checks": dict.fromkeys(STORES[service_name], "up"),
    }
    assert response.headers["cache-control"] == "no-store"


def test_metrics_count_by_route_template(caller: Customer, service_name: str) -> None:
    path, route = GOOD[service_name]
    assert caller.get(path).status_code == 200
    caller.get("/not/there/42")
    text = caller.get("/metrics").text
    counted = [
        set(labels.split(",")) for labels in re.findall(r"^http_requests_total{(.*)} ", text, re.M)
    ]
    assert any({'method="GET"', f'route="{route}"', 'status="200"'} <= labels for labels in counted)
    assert any({'route="unmatched"', 'status="404"'} <= labels for labels in counted)
    assert "/not/there" not in text
    assert "http_request_duration_seconds_bucket{" in text
    for name in ("process_resident_memory_bytes", "process_cpu_seconds_total"):
        assert any(line.startswith(f"{name} ") for line in text.splitlines()), name


def test_a_well_formed_request_id_is_kept(caller: Customer, service_name: str) -> None:
    for name in ("x", "trace.me_4-7", "y" * 64):
        response = caller.get(GOOD[service_name][0], headers={"x-request-id": name})
        assert response.headers["x-request-id"] == name


@pytest.mark.parametrize(
    "offered", [None, "a b", "x" * 65, '"><script>', "ä".encode(), ""], ids=str
)
def test_another_request_id_is_replaced(
    caller: Customer, service_name: str, offered: str | bytes | None
) -> None:
    response = caller.get(GOOD[service_name][0], headers={"x-request-id": offered})
    assert response.status_code == 200
    made = response.headers["x-request-id"]
    assert len(made) == 32
    int(made, 16)


def test_each_process_names_itself(
    local_shop: LocalShop, caller: Customer, service_name: str
) -> None:
    paths = (GOOD[service_name][0], "/nothing", "/health/live", "/metrics")
    (name,) = {caller.get(path).headers["x-instance-id"] for path in paths}
    with local_shop.another(service_name) as another:
        another.start()
        another.wait_until("/health/live")
        with another.target.open() as client:
            other = client.get("/health/live").headers["x-instance-id"]
    assert len(bytes.fromhex(name)) == len(bytes.fromhex(other)) == 16
    assert name != other


@pytest.mark.parametrize("path", ["/", "/nothing", "/api/v1/nothing", "/health", "/../etc/passwd"])
def test_paths_that_are_not_there(caller: Customer, service_name: str, path: str) -> None:
    if path == "/" and service_name == "monolith":
        path = "/index.php"  # its "/" is the storefront
    response = caller.get(path)
    assert (response.status_code, problem_slug(response)) == (404, "not-found")


def test_methods_that_are_not_there(caller: Customer, service_name: str) -> None:
    response = caller.send("TRACE", GOOD[service_name][0])
    assert (response.status_code, problem_slug(response)) == (405, "method-not-allowed")
    assert "GET" in response.headers["allow"]


def test_nothing_tells_what_it_is_made_of(caller: Customer, service_name: str) -> None:
    for path in (GOOD[service_name][0], "/nothing"):
        headers = caller.get(path).headers
        assert "server" not in headers
        assert "x-powered-by" not in headers


def test_log_lines_are_records(service: Container, service_name: str, caller: Customer) -> None:
    name = f"log-{uuid4()}"
    path, route = GOOD[service_name]
    before = datetime.now(UTC)
    caller.get(f"{path}?page=1", headers={"x-request-id": name})

    def lines() -> list[dict[str, object]]:
        return [record for record in service.records() if record.get("request_id") == name]

    wait_for("the access log", lambda: lines() != [], timeout_s=5)
    (line,) = lines()
    assert (line["message"], line["level"]) == ("request", "info")
    assert line["logger"] == f"{service_name}.access"
    assert (line["method"], line["path"], line["route"]) == ("GET", path, route)
    assert line["status"] == 200
    assert isinstance(line["duration_ms"], float | int)
    assert 0 < line["duration_ms"] < 60_000
    at = datetime.fromisoformat(str(line["time"]))
    assert at.utcoffset() == before.utcoffset()
    assert abs((at - before).total_seconds()) < 60
    assert {"time", "level", "logger", "message", "release"} <= set(service.records()[0])


def test_health_is_not_logged_while_all_is_well(service: Container, caller: Customer) -> None:
    name = f"log-{uuid4()}"
    for path in ("/health/live", "/health/ready", "/metrics"):
        assert caller.get(path, headers={"x-request-id": name}).status_code == 200
    assert name not in service.log()


@pytest.mark.only("microservices")
def test_a_request_can_be_followed_through_all_services(
    local_shop: LocalShop, customer: Customer
) -> None:
    name = f"trace-{uuid4()}"
    customer.fill_cart({41: 1})
    paid = customer.post(
        "/api/v1/checkout",
        json={"payment_method": "pm_card_visa"},
        headers={"idempotency-key": str(uuid4()), "x-request-id": name},
    )
    assert paid.status_code == 201
    for service in ("payments", "cart", "products"):
        container = local_shop.containers[service]
        wait_for(f"{service}'s log", lambda c=container: name in c.log(), timeout_s=5)  # type: ignore[misc]


def test_termination_is_a_clean_end(local_shop: LocalShop, service_name: str) -> None:
    with local_shop.another(service_name) as service:
        service.start()
        service.wait_until("/health/ready")
        assert service.stop(signal.SIGTERM) == 0
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"{service.target.base_url}/health/live", timeout=5)
