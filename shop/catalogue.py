"""Which services each shape of the shop has, and what they may take.

The budget is the same in each deployment model: 2 CPUs and 1536 MiB. 256 MiB of it is left for a
guest operating system, so the services share 1280 MiB; where no guest is needed (Docker) nobody
takes the rest. What is around a shape - stores, payment gateway, gateway - has the same limits in
each, so that the shapes differ in nothing but themselves.
"""

from __future__ import annotations

from functools import reduce
from operator import add
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from shop.model import (
    DATA_DIR,
    DataMount,
    Health,
    Limits,
    Machine,
    Route,
    SecretFile,
    Service,
    Tmpfs,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: What a whole shop may take, in each model.
BUDGET: Final = Limits(memory_mib=1536, cpus=2.0)
#: The part of it that is left for a guest's kernel and system services.
GUEST_RESERVE_MIB: Final = 256
#: The virtual machine of the vm model is the budget, no more and no less.
MACHINE: Final = Machine(
    memory_mib=BUDGET.memory_mib, vcpus=int(BUDGET.cpus), data_disk_bytes=4 * 1024**3
)

#: The service through which customers come in; each shape has one of this name.
GATEWAY: Final = "gateway"
#: Services that keep data for others. The rest of a shape but the gateway is its workload.
DATASTORES: Final = ("postgres", "valkey")
#: Up to how many replicas of a service without data a platform may add by itself under load.
REPLICAS_MAX: Final = 4
#: The services that can be told to have costs of a known size, by which the probe is tested
#: (``shopcore.known_costs``); one in each shape.
KNOWN_COSTS_TAKEN_BY: Final = ("monolith", "products")
#: What is around every shape and no code of the shop's own.
SURROUNDINGS: Final = (*DATASTORES, "stripe-mock", GATEWAY)

_DATABASE_NAME = "shop"
_DATABASE_USER = "shop"
_POSTGRES_BIN = "/usr/lib/postgresql/17/bin"
_STRIPE_URL = "http://stripe-mock:12111"
#: A database of its own: the other shape's keys are not its business.
_VALKEY_URL = "redis://valkey:6379/1"

LIVE_PATH: Final = "/health/live"
READY_PATH: Final = "/health/ready"
#: The paths of a route for whatever no other route has.
ANY_PATH: Final = ("/*",)
_AUTH_PATHS = ("/api/v1/auth/*", "/.well-known/jwks.json")
_PRODUCTS_PATHS = ("/api/v1/products", "/api/v1/products/*")
_CART_PATHS = ("/api/v1/cart", "/api/v1/cart/*")
_PAYMENTS_PATHS = ("/api/v1/checkout", "/api/v1/orders", "/api/v1/orders/*")
_STOREFRONT_PATHS = (
    "/",
    "/products/*",
    "/cart",
    "/login",
    "/register",
    "/checkout",
    "/orders",
    "/orders/*",
    "/assets/*",
    "/favicon.svg",
)

#: How many connections to PostgreSQL each replica of a service may have. All replicas of all
#: services together, and one more of each during an update, have to fit into what it takes
#: (``max_connections`` in shop/images/postgres/postgresql.conf).
DATABASE_POOLS: Final = MappingProxyType({"auth": 2, "monolith": 10, "payments": 4, "products": 5})
_DATABASE_ENVIRONMENT = {
    "DATABASE_HOST": "postgres",
    "DATABASE_NAME": _DATABASE_NAME,
    "DATABASE_PORT": "5432",
    "DATABASE_USER": _DATABASE_USER,
}
_CADDY_ENVIRONMENT = {
    "HOME": "/tmp",
    "XDG_CONFIG_HOME": "/tmp/config",
    "XDG_DATA_HOME": "/tmp/data",
}
_DATABASE_PASSWORD = SecretFile("postgres_password", "DATABASE_PASSWORD_FILE")
_JWT_PRIVATE_KEY = SecretFile("jwt_private_key", "JWT_PRIVATE_KEY_FILE")
_STRIPE_API_KEY = SecretFile("stripe_api_key", "STRIPE_API_KEY_FILE")


class UnknownShapeError(ValueError):
    """Raised for a shape that is not in the catalogue; its text names the ones that are."""


def http_check(port: int, path: str) -> tuple[str, ...]:
    """Return a health check that asks for ``path`` on the loopback and wants status 200.

    bash's own TCP redirection does it: the images hold neither curl nor wget, and a check that
    starts an interpreter would weigh on the idle CPU that the probe measures.
    """
    script = (
        f"exec 3<>/dev/tcp/127.0.0.1/{port}"
        f" && printf 'GET {path} HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' >&3"
        ' && read -r status <&3 && [[ $status == *" 200 "* ]]'
    )
    return ("/bin/bash", "-c", script)


def tcp_check(port: int) -> tuple[str, ...]:
    """Return a health check that is content when something accepts connections on ``port``."""
    return ("/bin/bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{port}")


def _database(service: str) -> dict[str, str]:
    return {**_DATABASE_ENVIRONMENT, "DATABASE_POOL_SIZE": str(DATABASE_POOLS[service])}


def _python_environment(package: str) -> dict[str, str]:
    return {
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": f"/opt/{package}:/opt/{package}/site-packages",
        "PYTHONUNBUFFERED": "1",
    }


def _routing(workload: tuple[Service, ...]) -> str:
    """Return the gateway's routes as a part of its Caddyfile (``{$ROUTES}``).

    They are in the catalogue's order, which is that of trying them, but what stands for all the
    rest comes last. Its snippets ``api`` and ``pages`` pass a request on to an address; see
    ``shop/images/gateway/Caddyfile``.
    """
    lines = []
    routes = [(service, route) for service in workload for route in service.routes]
    routes.sort(key=lambda item: item[1].paths == ANY_PATH)
    for number, (service, route) in enumerate(routes):
        matcher = "" if route.paths == ANY_PATH else f"@route{number} "
        if matcher:
            lines.append(f"{matcher}path {' '.join(route.paths)}")
        lines.append(f"handle {matcher}{{")
        if route.target:
            lines.append(f"rewrite * {route.target}")
        lines += [f"import {'pages' if route.pages else 'api'} {service.address}", "}"]
    return "\n".join(lines)


def _gateway(workload: tuple[Service, ...]) -> Service:
    return Service(
        name=GATEWAY,
        image="gateway",
        port=8443,
        uid=10001,
        command=(
            "/usr/bin/caddy",
            "run",
            "--config",
            "/etc/caddy/Caddyfile",
            "--adapter",
            "caddyfile",
        ),
        env=MappingProxyType(
            {**_CADDY_ENVIRONMENT, "LISTEN_PORT": "8443", "ROUTES": _routing(workload)}
        ),
        secrets=(
            SecretFile("tls_certificate", "TLS_CERTIFICATE_FILE"),
            SecretFile("tls_private_key", "TLS_PRIVATE_KEY_FILE"),
        ),
        needs=tuple(s.name for s in workload if s.routes),
        tmpfs=(Tmpfs("/tmp", 16),),
        limits=Limits(memory_mib=96, cpus=0.2),
        health=Health(command=tcp_check(8443), path="/health/live", connects=True),
        replicas_max=REPLICAS_MAX,
    )


def _postgres() -> Service:
    return Service(
        name="postgres",
        image="postgres",
        port=5432,
        uid=10005,
        command=("/usr/local/bin/triptych-postgres",),
        env=MappingProxyType(
            {
                "PGDATA": f"{DATA_DIR}/postgres/data",
                "POSTGRES_DB": _DATABASE_NAME,
                "POSTGRES_USER": _DATABASE_USER,
            }
        ),
        secrets=(SecretFile("postgres_password", "POSTGRES_PASSWORD_FILE"),),
        data=(DataMount("postgres", f"{DATA_DIR}/postgres", size_mib=2048),),
        tmpfs=(Tmpfs("/tmp", 16), Tmpfs("/run/postgresql", 1)),
        limits=Limits(memory_mib=320, cpus=0.55),
        health=Health(
            command=(
                f"{_POSTGRES_BIN}/pg_isready",
                "--quiet",
                "--host=127.0.0.1",
                f"--username={_DATABASE_USER}",
                f"--dbname={_DATABASE_NAME}",
            )
        ),
        # SIGINT is PostgreSQL's fast shutdown: SIGTERM would wait for the clients to leave first.
        stop_signal="SIGINT",
    )


def _valkey() -> Service:
    return Service(
        name="valkey",
        image="valkey",
        port=6379,
        uid=10003,
        command=("/usr/bin/valkey-server", "/etc/valkey/valkey.conf"),
        data=(DataMount("valkey", f"{DATA_DIR}/valkey", size_mib=256),),
        tmpfs=(Tmpfs("/tmp", 1),),
        limits=Limits(memory_mib=64, cpus=0.1),
        health=Health(command=("/usr/bin/valkey-cli", "-h", "127.0.0.1", "-e", "ping")),
    )


def _stripe_mock() -> Service:
    return Service(
        name="stripe-mock",
        image="stripe-mock",
        port=12111,
        uid=10004,
        command=("/usr/local/bin/stripe-mock", "-http-port", "12111"),
        tmpfs=(Tmpfs("/tmp", 1),),
        limits=Limits(memory_mib=96, cpus=0.3),
        # It answers every path with 401 unless given a key: accepting connections is being well.
        health=Health(command=tcp_check(12111), connects=True),
    )


def _api_service(
    name: str,
    port: int,
    uid: int,
    *,
    command: tuple[str, ...],
    env: Mapping[str, str],
    needs: tuple[str, ...],
    limits: Limits,
    routes: tuple[Route, ...],
    secrets: tuple[SecretFile, ...] = (),
    tmpfs_mib: int = 16,
    jit: bool = False,
) -> Service:
    """Return a service of the shop's own, with what all of them have in common."""
    return Service(
        name=name,
        image=name,
        port=port,
        uid=uid,
        command=command,
        env=MappingProxyType(
            {
                "HOME": "/tmp",
                "LISTEN_HOST": "0.0.0.0",
                "LISTEN_PORT": str(port),
                "LOG_LEVEL": "INFO",
                **env,
            }
        ),
        secrets=secrets,
        needs=needs,
        tmpfs=(Tmpfs("/tmp", tmpfs_mib),),
        limits=limits,
        health=Health(command=http_check(port, LIVE_PATH), path=LIVE_PATH, ready_path=READY_PATH),
        metrics_path="/metrics",
        routes=routes,
        jit=jit,
        replicas_max=REPLICAS_MAX,
    )


def _auth() -> Service:
    return _api_service(
        "auth",
        8001,
        10011,
        command=("/usr/bin/node", "--max-old-space-size=64", "/opt/auth/dist/main.js"),
        env={**_database("auth"), "NODE_ENV": "production", "VALKEY_URL": _VALKEY_URL},
        secrets=(_DATABASE_PASSWORD, _JWT_PRIVATE_KEY),
        needs=("postgres", "valkey"),
        limits=Limits(memory_mib=160, cpus=0.2),
        routes=(Route(_AUTH_PATHS),),
        jit=True,
    )


def _products() -> Service:
    return _api_service(
        "products",
        8002,
        10012,
        command=("/usr/bin/python3", "-m", "products", "serve"),
        env={
            **_database("products"),
            **_python_environment("products"),
            "VALKEY_URL": _VALKEY_URL,
        },
        secrets=(_DATABASE_PASSWORD,),
        needs=("postgres", "valkey"),
        limits=Limits(memory_mib=160, cpus=0.2),
        # For all the rest it says "not found", as every service does.
        routes=(Route(_PRODUCTS_PATHS), Route(ANY_PATH)),
    )


def _cart() -> Service:
    return _api_service(
        "cart",
        8003,
        10013,
        command=("/opt/cart/cart",),
        env={
            "AUTH_URL": "http://auth:8001",
            "PRODUCTS_URL": "http://products:8002",
            "VALKEY_URL": _VALKEY_URL,
        },
        needs=("valkey", "auth", "products"),
        limits=Limits(memory_mib=48, cpus=0.1),
        routes=(Route(_CART_PATHS),),
        tmpfs_mib=1,
    )


def _frontend() -> Service:
    return Service(
        name="frontend",
        image="frontend",
        port=8005,
        uid=10015,
        command=(
            "/usr/bin/caddy",
            "run",
            "--config",
            "/opt/frontend/Caddyfile",
            "--adapter",
            "caddyfile",
        ),
        env=MappingProxyType(
            {**_CADDY_ENVIRONMENT, "LISTEN_HOST": "0.0.0.0", "LISTEN_PORT": "8005"}
        ),
        tmpfs=(Tmpfs("/tmp", 16),),
        limits=Limits(memory_mib=64, cpus=0.05),
        health=Health(command=http_check(8005, LIVE_PATH), path=LIVE_PATH, ready_path=READY_PATH),
        metrics_path="/metrics",
        routes=(Route(_STOREFRONT_PATHS, pages=True),),
        replicas_max=REPLICAS_MAX,
    )


def _payments(others: tuple[Service, ...]) -> Service:
    return _api_service(
        "payments",
        8004,
        10014,
        command=("/opt/payments/jre/bin/java", "@/opt/payments/java.args"),
        env={
            **_database("payments"),
            "AUTH_URL": "http://auth:8001",
            "CART_URL": "http://cart:8003",
            "PRODUCTS_URL": "http://products:8002",
            # Whose readiness makes the whole shop's, with its own.
            "SHOP_PARTS": ",".join(f"{s.name}=http://{s.address}" for s in others),
            "STRIPE_API_BASE": _STRIPE_URL,
        },
        secrets=(_DATABASE_PASSWORD, _STRIPE_API_KEY),
        needs=("postgres", "stripe-mock", *(s.name for s in others)),
        limits=Limits(memory_mib=272, cpus=0.3),
        routes=(
            Route((*_PAYMENTS_PATHS, LIVE_PATH)),
            Route((READY_PATH,), target="/health/shop"),
        ),
        tmpfs_mib=32,
        jit=True,
    )


def _monolith() -> Service:
    return _api_service(
        "monolith",
        8000,
        10002,
        command=("/usr/bin/python3", "-m", "monolith", "serve"),
        env={
            **_database("monolith"),
            **_python_environment("monolith"),
            "STOREFRONT_DIR": "/opt/monolith/storefront",
            "STRIPE_API_BASE": _STRIPE_URL,
            "VALKEY_URL": "redis://valkey:6379/0",
        },
        secrets=(_JWT_PRIVATE_KEY, _DATABASE_PASSWORD, _STRIPE_API_KEY),
        needs=("postgres", "valkey", "stripe-mock"),
        limits=Limits(memory_mib=704, cpus=0.85),
        routes=(
            Route(
                (
                    *_AUTH_PATHS,
                    *_PRODUCTS_PATHS,
                    *_CART_PATHS,
                    *_PAYMENTS_PATHS,
                    LIVE_PATH,
                    READY_PATH,
                )
            ),
            Route(_STOREFRONT_PATHS, pages=True),
            Route(ANY_PATH),
        ),
        tmpfs_mib=32,
    )


def _shape(*workload: Service) -> tuple[Service, ...]:
    """Return the workload with what is the same around every one."""
    return (_postgres(), _valkey(), _stripe_mock(), *workload, _gateway(workload))


def _monolith_shape() -> tuple[Service, ...]:
    return _shape(_monolith())


def _microservices_shape() -> tuple[Service, ...]:
    others = (_auth(), _products(), _cart(), _frontend())
    return _shape(*others, _payments(others))


_SHAPES: Final[dict[str, Callable[[], tuple[Service, ...]]]] = {
    "microservices": _microservices_shape,
    "monolith": _monolith_shape,
}

#: The shapes that can be deployed.
SHAPES: Final = tuple(_SHAPES)
#: The models that can be deployed, each with the shape that it runs unless told otherwise.
MODELS: Final = {"docker": "microservices", "kubernetes": "microservices", "vm": "monolith"}


def services(shape: str) -> tuple[Service, ...]:
    """Return the services of ``shape``, those that others need first.

    Raises:
        UnknownShapeError: if there is no such shape.
    """
    try:
        make = _SHAPES[shape]
    except KeyError:
        known = ", ".join(SHAPES)
        raise UnknownShapeError(f'unknown shape "{shape}": known shapes are {known}') from None
    return make()


def total_limits(of: tuple[Service, ...]) -> Limits:
    """Return what all replicas of these services may take together."""
    return reduce(add, (s.limits for s in of for _ in range(s.replicas)))
