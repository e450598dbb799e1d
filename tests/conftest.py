"""What runs only with `--live`, and the shop that tests/contract and tests/browser are about.

`--base-url https://host:8443 --ca-file ca.pem` (or TRIPTYCH_BASE_URL, TRIPTYCH_CA_FILE) names a
deployed one. Otherwise it is a private one of each shape on this host, or of each that `--shape`
names, and a test that asks for a shop becomes one per shape. Tests marked `local` need the shop's
processes, faults and keys in their hands; they are deselected for a deployed one.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shop import catalogue

if TYPE_CHECKING:
    from .contract.harness.client import Target
    from .contract.harness.shop import Container, LocalShop

#: Who goes beside others, and who has the host alone (docs/tests.md).
pytest_plugins = ["tests.quiet.plugin"]

HERE = Path(__file__).parent
#: The folders of tests that need more than the Python environment, and what that is. They are
#: collected with `--live` alone; all others are unit tests, which `make unit` and `pytest` run.
LIVE = {
    "tools": "tools that the toolchain builds",
    "plugins": "dockerd, libvirtd and Pulumi's CLI",
    "gateway": "dockerd and the gateway's image",
    "contract": "a shop",
    "browser": "a shop and Chromium",
    "e2e": "real stacks",
}
FOLDERS = (HERE / "contract", HERE / "browser")
DEPLOYED = "deployed"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--live",
        action="store_true",
        help="run also what needs a daemon, a stack, a browser or something that is built",
    )
    group = parser.getgroup("shop", "the shop under test")
    group.addoption("--base-url", help="base URL of a deployed shop")
    group.addoption("--ca-file", help="PEM file of the CA it is served under")
    group.addoption(
        "--patience",
        type=float,
        default=0,
        help="seconds for which a deployed shop that says 502 to 504, and when to try again, is"
        " asked again: for one on emulated hardware, where its own time-outs are short",
    )
    group.addoption(
        "--shape",
        action="append",
        choices=catalogue.SHAPES,
        help="only private shops of this shape",
    )
    group.addoption(
        "--kinds",
        default="",
        help="only these deployments, separated by commas, such as docker-monolith (tests/e2e)",
    )
    group.addoption(
        "--fuzz-examples", type=int, default=40, help="requests that are made up per operation"
    )
    group.addoption(
        "--variants",
        type=int,
        default=0,
        help="of each test with many inputs only so many; 0 is all (few for an emulated machine)",
    )
    group.addoption(
        "--no-axe",
        action="store_true",
        help="do not check the pages' accessibility: another way leads to pages that were checked",
    )
    group.addoption(
        "--crowd",
        type=int,
        default=8,
        help="how many customers want the same at once; 2 at least, few for an emulated machine",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "local: needs a private shop, with its processes in hand")
    config.addinivalue_line("markers", "only(names): is about these shapes, or services, alone")
    if config.getoption("--live"):
        return
    for argument in config.args:
        # Without what follows a file's name: the name of a test in it.
        path = config.invocation_params.dir / argument.partition("::")[0]
        if folder := _live_folder(path.resolve()):
            raise pytest.UsageError(f"{argument} needs {LIVE[folder]}: add --live")


def _live_folder(path: Path) -> str | None:
    """Return the folder of LIVE in which a path is, if it is in one."""
    if not path.is_relative_to(HERE):
        return None
    folder = path.relative_to(HERE).parts[:1]
    return folder[0] if folder and folder[0] in LIVE else None


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out what needs `--live`."""
    left_out = not config.getoption("--live") and _live_folder(collection_path) is not None
    return True if left_out else None


def named_url(config: pytest.Config) -> str | None:
    """Return the base URL of the shop that was named, if one was."""
    url = config.getoption("--base-url") or os.environ.get("TRIPTYCH_BASE_URL")
    return url.rstrip("/") if url else None


def _shapes(config: pytest.Config) -> list[str]:
    if named_url(config):
        return [DEPLOYED]
    return config.getoption("--shape") or list(catalogue.SHAPES)


def _about_shops(path: Path) -> bool:
    return any(folder in path.parents for folder in FOLDERS)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test that asks for a shop, or one of its services, into one per shape, or service."""
    if not _about_shops(metafunc.definition.path):
        return
    shapes = _shapes(metafunc.config)
    only = metafunc.definition.get_closest_marker("only")
    if "service_name" in metafunc.fixturenames:
        from .contract.harness.shop import api_services

        local = [shape for shape in shapes if shape != DEPLOYED]
        pairs = [(shape, name) for shape in local for name in api_services(shape)]
        if only:
            pairs = [pair for pair in pairs if set(pair) & set(only.args)]
        metafunc.parametrize(("shape", "service_name"), pairs, indirect=True, scope="session")
    elif "counterparts" in metafunc.fixturenames:
        together = [tuple(shapes)] if len(shapes) > 1 else []
        metafunc.parametrize("counterparts", together, indirect=True, scope="session", ids="-".join)
    elif "shape" in metafunc.fixturenames:
        if only:
            shapes = [shape for shape in shapes if shape in (*only.args, DEPLOYED)]
        metafunc.parametrize("shape", shapes, indirect=True, scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    ours = [item for item in items if _about_shops(item.path)]
    out = {item for item in ours if _not_about_any(item)}
    if named_url(config):
        out |= {item for item in ours if item.get_closest_marker("local")}
    if variants := config.getoption("--variants"):
        out |= set(beyond([item for item in ours if item not in out], variants))
    leave_out(config, items, out)


def beyond(items: Iterable[pytest.Item], variants: int) -> Iterator[pytest.Item]:
    """Find what is beyond the first so many of a test's inputs, in each shop."""
    seen: Counter[tuple[Path, str, object]] = Counter()
    for item in items:
        call = getattr(item, "callspec", None)
        name = getattr(item, "originalname", item.name)
        test = (item.path, name, call.params.get("shape") if call else None)
        seen[test] += 1
        if seen[test] > variants:
            yield item


def leave_out(config: pytest.Config, items: list[pytest.Item], out: set[pytest.Item]) -> None:
    """Deselect tests that were collected."""
    if out:
        config.hook.pytest_deselected(items=list(out))
        items[:] = [item for item in items if item not in out]


def _not_about_any(item: pytest.Item) -> bool:
    """Say whether the test is about shapes, or services, none of which was asked for."""
    call = getattr(item, "callspec", None)
    return call is not None and any(
        # What pytest puts there when there are no values.
        not isinstance(call.params.get(name, ()), str | tuple)
        for name in ("shape", "counterparts")
    )


@pytest.fixture(scope="session")
def local_shops() -> Iterator[Callable[[str], LocalShop]]:
    """Return what gives the private shop of a shape: started when first asked for."""
    from .contract.harness.shop import LocalShop

    shops: dict[str, LocalShop] = {}

    def get(shape: str) -> LocalShop:
        if shape not in shops:
            shops[shape] = LocalShop(shape)
        return shops[shape]

    yield get
    for shop in shops.values():
        shop.close()


@pytest.fixture(scope="session")
def shape(request: pytest.FixtureRequest) -> str:
    """Return the shape of the shop under test, or DEPLOYED for one that was named."""
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def service_name(request: pytest.FixtureRequest) -> str:
    """Return the name of the one service under test."""
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def local_shop(shape: str, local_shops: Callable[[str], LocalShop]) -> LocalShop:
    return local_shops(shape)


@pytest.fixture(scope="session")
def service(local_shop: LocalShop, service_name: str) -> Container:
    """Return the one service under test, to be asked without the gateway in between."""
    return local_shop.containers[service_name]


@pytest.fixture(scope="session")
def counterparts(
    request: pytest.FixtureRequest, local_shops: Callable[[str], LocalShop]
) -> tuple[LocalShop, ...]:
    """Return the private shops of all shapes."""
    return tuple(local_shops(shape) for shape in request.param)


@pytest.fixture(scope="session")
def target(
    request: pytest.FixtureRequest, shape: str, local_shops: Callable[[str], LocalShop]
) -> Target:
    from .contract.harness.client import Target

    url = named_url(request.config)
    if url is None:
        return local_shops(shape).target
    ca_file = request.config.getoption("--ca-file") or os.environ.get("TRIPTYCH_CA_FILE")
    patience_s: float = request.config.getoption("--patience")
    return Target(url, Path(ca_file) if ca_file else None, patience_s)


@pytest.fixture(scope="session")
def sold_out(target: Target) -> int:
    """Find a product of which there is none left."""
    from .contract.harness.client import find_by_stock

    return find_by_stock(target, lambda stock: stock == 0)
