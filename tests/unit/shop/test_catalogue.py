"""The shop's catalogue keeps its own promises."""

from __future__ import annotations

import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from shop import catalogue
from shop.model import DATA_DIR, SECRETS_DIR, Limits, Service
from stacks import parts
from stacks.artefacts import PROJECT_ROOT

#: uid and port of every service there is. They are part of what is deployed: data belong to a uid.
IDENTITIES = {
    "gateway": (10001, 8443),
    "monolith": (10002, 8000),
    "valkey": (10003, 6379),
    "stripe-mock": (10004, 12111),
    "postgres": (10005, 5432),
    "auth": (10011, 8001),
    "products": (10012, 8002),
    "cart": (10013, 8003),
    "payments": (10014, 8004),
    "frontend": (10015, 8005),
}


@pytest.fixture(params=catalogue.SHAPES)
def services(request: pytest.FixtureRequest) -> dict[str, Service]:
    return {s.name: s for s in catalogue.services(request.param)}


@pytest.fixture
def monolith() -> Service:
    return next(s for s in catalogue.services("monolith") if s.name == "monolith")


@pytest.fixture
def microservices() -> dict[str, Service]:
    return {s.name: s for s in catalogue.services("microservices")}


def test_services_fit_the_budget_beside_a_guest(services: dict[str, Service]) -> None:
    total = catalogue.total_limits(tuple(services.values()))
    reserve = Limits(catalogue.GUEST_RESERVE_MIB, 0)
    assert total + reserve == catalogue.BUDGET
    assert catalogue.MACHINE.memory_mib == catalogue.BUDGET.memory_mib


def test_what_is_around_the_shapes_is_the_same(microservices: dict[str, Service]) -> None:
    for service in catalogue.services("monolith"):
        if service.name not in ("monolith", "gateway"):
            assert microservices[service.name] == service
        elif service.name == "gateway":
            assert microservices["gateway"].limits == service.limits


def test_unknown_shape_names_the_known_ones() -> None:
    with pytest.raises(
        catalogue.UnknownShapeError, match='"nonsense": known shapes are microservices, monolith'
    ):
        catalogue.services("nonsense")


def test_uids_and_ports_are_fixed_and_unique(services: dict[str, Service]) -> None:
    assert {name: (s.uid, s.port) for name, s in services.items()} == {
        name: IDENTITIES[name] for name in services
    }
    # In the virtual machine they share one host, and its disk has one user for each.
    assert len(set(IDENTITIES.values())) == len(IDENTITIES)
    assert len({s.port for s in services.values()}) == len(services)


def test_needs_are_services_listed_before(services: dict[str, Service]) -> None:
    seen: set[str] = set()
    for service in services.values():
        assert set(service.needs) <= seen, service.name
        seen.add(service.name)


def test_every_service_is_watched_and_limited(services: dict[str, Service]) -> None:
    for service in services.values():
        assert service.health.command
        assert service.limits.memory_mib > 0
        assert service.limits.cpus > 0


def test_environment_tells_where_secrets_lie_and_holds_none(
    services: dict[str, Service], monolith: Service
) -> None:
    here = monolith.environment()
    assert here["JWT_PRIVATE_KEY_FILE"] == f"{SECRETS_DIR}/jwt_private_key"
    assert monolith.environment("/x")["JWT_PRIVATE_KEY_FILE"] == "/x/jwt_private_key"
    assert list(here) == sorted(here)
    for service in services.values():
        assert not set(service.env) & {s.variable for s in service.secrets}
        assert not any("PASSWORD" in name or "SECRET" in name for name in service.env)


def test_only_who_signs_has_the_key_and_only_who_pays_the_payment_gateways(
    microservices: dict[str, Service],
) -> None:
    owners = {
        secret: {s.name for s in microservices.values() if secret in {f.name for f in s.secrets}}
        for secret in ("jwt_private_key", "stripe_api_key", "postgres_password", "tls_private_key")
    }
    assert owners == {
        "jwt_private_key": {"auth"},
        "stripe_api_key": {"payments"},
        "postgres_password": {"postgres", "auth", "products", "payments"},
        "tls_private_key": {"gateway"},
    }


def test_services_speak_only_to_whom_they_need(services: dict[str, Service]) -> None:
    for service in services.values():
        for name, value in service.env.items():
            if name == "ROUTES":
                continue
            for other in services.values():
                if re.search(rf"\b{other.address}\b", value):
                    assert other.name in service.needs, (service.name, name)


def test_the_shops_readiness_asks_every_part(microservices: dict[str, Service]) -> None:
    parts_of_it = dict(
        part.split("=", 1) for part in microservices["payments"].env["SHOP_PARTS"].split(",")
    )
    assert parts_of_it == {
        "auth": "http://auth:8001",
        "products": "http://products:8002",
        "cart": "http://cart:8003",
        "frontend": "http://frontend:8005",
    }


def test_runtimes_that_compile_as_they_go_say_so(microservices: dict[str, Service]) -> None:
    assert {s.name for s in microservices.values() if s.jit} == {"auth", "payments"}


def routed(services: dict[str, Service], path: str) -> tuple[str, str]:
    """Return who answers a path, and what it calls it: the table's first match."""
    table = [(s, route) for s in services.values() for route in s.routes]
    table.sort(key=lambda entry: entry[1].paths == catalogue.ANY_PATH)
    for service, route in table:
        for pattern in route.paths:
            if path.startswith(pattern[:-1]) if pattern.endswith("/*") else path == pattern:
                return service.name, route.target or path
    raise AssertionError(path)


@pytest.mark.parametrize(
    ("path", "service", "target"),
    [
        ("/api/v1/auth/login", "auth", None),
        ("/.well-known/jwks.json", "auth", None),
        ("/api/v1/products", "products", None),
        ("/api/v1/products/7", "products", None),
        ("/api/v1/cart", "cart", None),
        ("/api/v1/cart/items/7", "cart", None),
        ("/api/v1/checkout", "payments", None),
        ("/api/v1/orders", "payments", None),
        ("/api/v1/orders/x", "payments", None),
        ("/health/live", "payments", None),
        ("/health/ready", "payments", "/health/shop"),
        ("/", "frontend", None),
        ("/products/7", "frontend", None),
        ("/assets/index.js", "frontend", None),
        ("/orders", "frontend", None),
        ("/nonsense", "products", None),
    ],
)
def test_routes(
    microservices: dict[str, Service], path: str, service: str, target: str | None
) -> None:
    assert routed(microservices, path) == (service, target or path)
    monolith = {s.name: s for s in catalogue.services("monolith")}
    assert routed(monolith, path) == ("monolith", path)


def test_every_path_of_the_contract_has_a_route_of_its_own(services: dict[str, Service]) -> None:
    contract = yaml.safe_load(Path("app/contract/openapi.yaml").read_text(encoding="utf-8"))
    special = {
        path for s in services.values() for r in s.routes for path in r.paths if path != "/*"
    }
    for path in contract["paths"]:
        if path != "/metrics":
            assert any(fnmatch(path, pattern) for pattern in special), path


def test_gateway_gets_its_routes_in_terms_of_its_own_snippets(services: dict[str, Service]) -> None:
    routes = services["gateway"].env["ROUTES"]
    caddyfile = Path("shop/images/gateway/Caddyfile").read_text(encoding="utf-8")
    assert "{$ROUTES}" in caddyfile
    imports = re.findall(r"^import (\w+) (\S+)$", routes, re.MULTILINE)
    assert {snippet for snippet, _ in imports} == {"api", "pages"}
    assert all(f"({snippet}) {{" in caddyfile for snippet, _ in imports)
    assert {address for _, address in imports} == {s.address for s in services.values() if s.routes}
    # The rest comes last.
    assert re.search(r"handle \{\nimport api \S+\n\}\Z", routes)
    assert routes.count("{") == routes.count("}")


def test_data_lies_under_the_data_disks_mount_point(services: dict[str, Service]) -> None:
    for service in services.values():
        for mount in service.data:
            assert mount.path.startswith(f"{DATA_DIR}/")


def test_split_covers_each_service_once(services: dict[str, Service]) -> None:
    shop = parts.split(tuple(services.values()))
    assert sorted(s.name for s in shop.all) == sorted(services)
    assert {s.name for s in shop.datastores} == {"postgres", "valkey"}
    assert shop.gateway.name == "gateway"


@pytest.mark.parametrize("shape", sorted(catalogue.SHAPES))
def test_every_replica_gets_its_connections_to_the_database(shape: str) -> None:
    file = PROJECT_ROOT / "shop/images/postgres/postgresql.conf"
    found = re.search(r"^max_connections = (\d+)$", file.read_text(), re.MULTILINE)
    assert found is not None
    most = int(found[1])
    kept_for_the_administrator = 3
    wanted = sum(
        # An update starts one more before it takes one away.
        int(service.env["DATABASE_POOL_SIZE"]) * (service.replicas_max + 1)
        for service in catalogue.services(shape)
        if "DATABASE_HOST" in service.env
    )
    assert 0 < wanted <= most - kept_for_the_administrator


def test_the_model_imports_no_pulumi() -> None:
    code = "import shop.catalogue, sys; sys.exit('pulumi' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(("status", "well"), [("200 OK", True), ("503 Service Unavailable", False)])
def test_http_check(status: str, well: bool) -> None:
    import http.server
    import threading

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == "/health/live"
            self.send_response(int(status.split()[0]))
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.handle_request, daemon=True).start()
    command = catalogue.http_check(server.server_port, "/health/live")
    done = subprocess.run(command, check=False, timeout=10, capture_output=True)
    server.server_close()
    assert (done.returncode == 0) is well


def test_tcp_check_fails_where_nobody_listens() -> None:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = catalogue.tcp_check(port)
    assert subprocess.run(command, check=False, capture_output=True).returncode != 0
