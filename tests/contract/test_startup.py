"""Start-up of each service: live at once, ready when it can serve, clear about bad settings."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from .harness.shop import Container, LocalShop

pytestmark = pytest.mark.local

#: The store that each service waits for, as its settings name it, and as its log does.
STORE = {
    "monolith": ("postgres", {"DATABASE_PORT": "1"}, "database"),
    "auth": ("postgres", {"DATABASE_PORT": "1"}, "database"),
    "products": ("postgres", {"DATABASE_PORT": "1"}, "database"),
    "payments": ("postgres", {"DATABASE_PORT": "1"}, "database"),
    "cart": ("valkey", {"VALKEY_URL": "redis://127.0.0.1:1/1"}, "cart store"),
}
#: A request that each service cannot answer before it has started.
REQUEST: dict[str, tuple[str, str, dict[str, Any]]] = {
    "monolith": ("GET", "/api/v1/products", {}),
    "auth": ("POST", "/api/v1/auth/logout", {"json": {"refresh_token": "x" * 43}}),
    "products": ("GET", "/api/v1/products", {}),
    "payments": ("GET", "/api/v1/orders", {}),
    "cart": ("GET", "/api/v1/cart", {}),
}
WITH_TABLES = ("monolith", "auth", "products", "payments")
CATALOGUE = "96260ff2936b7628d2c2a05bfb0af632"


@pytest.fixture(autouse=True)
def _whole_again(local_shop: LocalShop) -> Iterator[None]:
    """Leave the shop to the next test as it was."""
    yield
    local_shop.wait_ready()


def _tried(service: Container) -> int:
    method, path, options = REQUEST[service.service.name]
    with service.target.open() as client:
        return client.request(method, path, **options).status_code


def test_live_at_once_and_ready_when_its_store_is(local_shop: LocalShop, service_name: str) -> None:
    with local_shop.another(service_name) as service:
        with local_shop.containers[STORE[service_name][0]].away():
            service.start()
            service.wait_until("/health/live")
            assert service.status("/health/ready") == 503
            assert _tried(service) == 503
            assert service.status("/metrics") == 200
        service.wait_until("/health/ready")
        assert service.stop() == 0


@pytest.mark.only("microservices")
@pytest.mark.parametrize("name", ["cart", "payments"])
def test_who_checks_tokens_waits_for_the_keys(local_shop: LocalShop, name: str) -> None:
    with local_shop.another(name) as service:
        with local_shop.containers["auth"].away():
            service.start()
            service.wait_until("/health/live")
            assert service.status("/health/ready") == 503
            assert _tried(service) == 503
        service.wait_until("/health/ready")


@pytest.mark.only(*WITH_TABLES)
def test_several_at_once_prepare_an_empty_database_once(
    local_shop: LocalShop, service_name: str
) -> None:
    local_shop.psql("CREATE DATABASE second OWNER shop")
    try:
        another = {"DATABASE_NAME": "second"}
        with (
            local_shop.another(service_name, **another) as first,
            local_shop.another(service_name, **another) as second,
            local_shop.another(service_name, **another) as third,
        ):
            services = (first, second, third)
            for service in services:
                service.start()
            for service in services:
                service.wait_until("/health/ready")
            if service_name in ("monolith", "products"):
                count = "SELECT count(*) FROM products"
                assert local_shop.psql(count, module="products", database="second") == "10000"
    finally:
        local_shop.psql("DROP DATABASE second WITH (FORCE)")


def test_every_database_has_the_same_catalogue(local_shop: LocalShop) -> None:
    digest = local_shop.psql(
        "SELECT md5(string_agg(concat_ws('|', sku, name, description, price_minor), ','"
        " ORDER BY id)) FROM products",
        module="products",
    )
    assert digest == CATALOGUE


def test_it_gives_up_after_the_time_it_was_given(local_shop: LocalShop, service_name: str) -> None:
    _, away, name = STORE[service_name]
    with local_shop.another(service_name, STARTUP_TIMEOUT_S="0.3", **away) as service:
        service.start()
        assert service.wait() == 1
        (last,) = [line for line in service.records() if line["level"] == "error"]
    assert name in str(last["message"])
    assert "Traceback" not in str(last)
    assert "\tat " not in str(last)


BAD_SETTINGS = [
    ({"LISTEN_PORT": "65536"}, "LISTEN_PORT"),
    ({"LOG_LEVEL": "LOUD"}, "LOG_LEVEL"),
    ({"STARTUP_TIMEOUT_S": "soon"}, "STARTUP_TIMEOUT_S"),
    ({"SHUTDOWN_GRACE_S": "0"}, "SHUTDOWN_GRACE_S"),
    ({"DATABASE_HOST": ""}, "DATABASE_HOST"),
    ({"DATABASE_PORT": "x"}, "DATABASE_PORT"),
    ({"DATABASE_POOL_SIZE": "0"}, "DATABASE_POOL_SIZE"),
    ({"DATABASE_PASSWORD_FILE": "/dev/null"}, "DATABASE_PASSWORD_FILE"),
    ({"VALKEY_URL": "ftp://x"}, "VALKEY_URL"),
    ({"AUTH_URL": "auth:8001"}, "AUTH_URL"),
    ({"PRODUCTS_URL": ""}, "PRODUCTS_URL"),
    ({"CART_URL": "ftp://cart"}, "CART_URL"),
    ({"STRIPE_API_BASE": ""}, "STRIPE_API_BASE"),
    ({"STRIPE_API_KEY_FILE": ""}, "STRIPE_API_KEY_FILE"),
    ({"JWT_PRIVATE_KEY_FILE": "/nonexistent"}, "JWT_PRIVATE_KEY_FILE"),
    ({"JWT_PRIVATE_KEY_FILE": "/etc/passwd"}, "JWT_PRIVATE_KEY_FILE"),
]


def test_bad_settings_are_one_line_each(local_shop: LocalShop, service_name: str) -> None:
    known = local_shop.containers[service_name].service.environment()
    common = {"LISTEN_PORT", "LOG_LEVEL", "STARTUP_TIMEOUT_S", "SHUTDOWN_GRACE_S"}
    if "DATABASE_HOST" in known:
        common.add("DATABASE_POOL_SIZE")
    wrong = [(change, name) for change, name in BAD_SETTINGS if name in {*known, *common}]
    assert len(wrong) >= 5
    for change, name in wrong:
        with local_shop.another(service_name, **change) as service:
            done = service.run_to_its_end()
        assert (done.returncode, name) == (2, name)
        assert done.stderr.startswith(f"{service_name}: {name}: "), done.stderr
        assert len(done.stderr.splitlines()) == 1, done.stderr


def test_all_bad_settings_are_told_at_once(local_shop: LocalShop, service_name: str) -> None:
    change = {"LISTEN_PORT": "http", "LOG_LEVEL": "LOUD", "SHUTDOWN_GRACE_S": "-1"}
    with local_shop.another(service_name, **change) as service:
        done = service.run_to_its_end()
    assert done.returncode == 2
    assert sorted(line.split(":")[1].strip() for line in done.stderr.splitlines()) == sorted(change)


def test_it_starts_again_after_a_kill(local_shop: LocalShop, service_name: str) -> None:
    """A process that dies in the middle of its start leaves nothing that hinders the next one."""
    with local_shop.another(service_name) as service:
        service.start()
        service.stop(signal.SIGKILL)
        service.start()
        service.wait_until("/health/ready")


@pytest.mark.only("monolith")
def test_migrate_command_is_done_when_nothing_is_to_do(local_shop: LocalShop) -> None:
    with local_shop.another("monolith") as service:
        done = service.run_to_its_end("/usr/bin/python3", "-m", "monolith", "migrate")
    assert done.returncode == 0
    assert "up to date" in done.stdout
