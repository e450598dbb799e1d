"""Stacks that are up for all tests of a process, and the order in which these may be at them.

`--kinds docker-microservices,docker-monolith` narrows the tests to those of some deployments. Tests
that only read come first; what measures the host, breaks something or takes it away says so by its
marker, and comes later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import IntEnum
from pathlib import Path

import pytest

from shop import catalogue
from tests.conftest import leave_out
from tests.support.inner import Inner
from tests.support.probing import COMPARED
from tests.support.stacks import READY_TIMEOUT_S, Deployed, Shop, Stack, Stacks

#: Each model with each shape, its own first.
KINDS = [
    (model, shape)
    for model, usual in catalogue.MODELS.items()
    for shape in (usual, *(other for other in catalogue.SHAPES if other != usual))
]
NAMES = {kind: "-".join(kind) for kind in KINDS}


class Phase(IntEnum):
    """When a test has its turn at the stacks that it shares with others."""

    #: Alone with the host: before other suites begin, and with a stack that nobody has broken.
    MEASURES_HOST = 0
    READS = 1
    #: A guest moves into a cluster when that has been read, and out before it is broken.
    IS_GUEST = 2
    #: What takes its time after a measurement.
    FOLLOWS = 3
    BREAKS = 4
    ENDS = 5


def pytest_configure(config: pytest.Config) -> None:
    for line in (
        "own_shape: shows what a model does alike with either shape, so with its own alone",
        "only_models(names): is about these models alone",
        "own_cluster: is about a stack with a cluster of its own",
        "guest: is about a stack in another one's cluster",
        "no_guest: is about all others",
        "not_compared: is about deployments that test_probe.py does not compare",
        "follows: goes on after a measurement of the host that it has to do with",
        "breaks(reason): leaves others something else than it found",
        "ends(reason): takes away what others use",
    ):
        config.addinivalue_line("markers", line)


def _is_own(kind: tuple[str, str]) -> bool:
    model, shape = kind
    return catalogue.MODELS[model] == shape


def _is_guest(kind: tuple[str, str]) -> bool:
    return kind[0] == "kubernetes" and not _is_own(kind)


def _is_own_cluster(kind: tuple[str, str]) -> bool:
    return kind[0] == "kubernetes" and _is_own(kind)


#: The kinds that a marker leaves a test.
ABOUT: dict[str, Callable[[tuple[str, str]], bool]] = {
    "own_shape": _is_own,
    "own_cluster": _is_own_cluster,
    "guest": _is_guest,
    "no_guest": lambda kind: not _is_guest(kind),
    "not_compared": lambda kind: kind not in COMPARED,
}


def _chosen(config: pytest.Config) -> list[tuple[str, str]]:
    words = config.getoption("--kinds")
    wanted = [word for word in words.split(",") if word]
    if unknown := sorted(set(wanted) - set(NAMES.values())):
        known = ", ".join(NAMES.values())
        raise pytest.UsageError(f"--kinds: unknown {unknown[0]!r}; known are {known}")
    return [kind for kind in KINDS if not wanted or NAMES[kind] in wanted]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test that asks for a stack into one for each kind of deployment."""
    if "stack" not in metafunc.fixturenames:
        return
    kinds = _chosen(metafunc.config)
    if only := metafunc.definition.get_closest_marker("only_models"):
        kinds = [kind for kind in kinds if kind[0] in only.args]
    for marker, is_about in ABOUT.items():
        if metafunc.definition.get_closest_marker(marker):
            kinds = [kind for kind in kinds if is_about(kind)]
    metafunc.parametrize("stack", kinds, indirect=True, ids=[NAMES[kind] for kind in kinds])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the tests into the order of their phases; leave out those that are about no kind."""
    here = [item for item in items if item.path.is_relative_to(Path(__file__).parent)]
    out = {item for item in here if _is_about_none(item)}
    leave_out(config, items, out)
    others = [item for item in items if item not in here]
    items[:] = others + sorted((i for i in here if i not in out), key=_turn)


def _is_about_none(item: pytest.Item) -> bool:
    """Tell what pytest makes of a test with no kinds to be about."""
    call = getattr(item, "callspec", None)
    return (
        call is not None and "stack" in call.params and not isinstance(call.params["stack"], tuple)
    )


def _turn(item: pytest.Item) -> tuple[Phase, int]:
    """Return when a test has its turn; of those that only read, one stack's after another's."""
    call = getattr(item, "callspec", None)
    kind = call.params.get("stack") if call else None
    phase = Phase.IS_GUEST if kind and _is_guest(kind) else _phase(item)
    return phase, KINDS.index(kind) if kind and phase is Phase.READS else 0


def _phase(item: pytest.Item) -> Phase:
    for marker, phase in (
        ("ends", Phase.ENDS),
        ("breaks", Phase.BREAKS),
        ("follows", Phase.FOLLOWS),
        ("measures_host", Phase.MEASURES_HOST),
    ):
        if item.get_closest_marker(marker):
            return phase
    return Phase.READS


@pytest.fixture(scope="session")
def all_stacks() -> Iterator[Stacks]:
    made = Stacks()
    yield made
    made.remove_since(())


@pytest.fixture
def stacks(all_stacks: Stacks) -> Iterator[Stacks]:
    """Make stacks that go when the test ends."""
    before = all_stacks.all()
    yield all_stacks
    all_stacks.remove_since(before)


@pytest.fixture(scope="session")
def deployed(all_stacks: Stacks) -> Deployed:
    return Deployed(all_stacks)


@pytest.fixture
def stack(request: pytest.FixtureRequest, deployed: Deployed) -> Stack:
    """Return the one stack of a kind that all tests share."""
    model, shape = request.param
    return deployed.get(model, shape)


@pytest.fixture
def shop(stack: Stack) -> Shop:
    """Return a customer of the stack, which is ready."""
    shop = Shop(stack.outputs())
    shop.wait_until_ready(READY_TIMEOUT_S[stack.model])
    return shop


class Suites:
    """The suites that know a shop by its address, run against stacks, beside each other."""

    def __init__(self, config: pytest.Config, ca_files: Path) -> None:
        self._config = config
        self._ca_files = ca_files
        self._running: dict[tuple[str, str], Inner] = {}

    def start(self, stack: Stack, shop: Shop, suite: str, *options: str) -> Inner:
        """Start a suite (`contract`, `browser`) on a stack, unless it has been started already."""
        key = (stack.kind, suite)
        if key not in self._running:
            ca_file = self._ca_files / f"{stack.kind}.pem"
            ca_file.write_text(shop.outputs["ca_certificate"])
            address = ("--base-url", shop.outputs["storefront_url"], "--ca-file", str(ca_file))
            self._running[key] = Inner(
                self._config,
                stack.kind,
                f"tests/{suite}",
                *address,
                *options,
                environment=stack.environment,
            )
        return self._running[key]

    def stop(self) -> None:
        """End those that still run."""
        for inner in self._running.values():
            inner.stop()


@pytest.fixture(scope="session")
def suites(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, all_stacks: Stacks
) -> Iterator[Suites]:
    started = Suites(request.config, tmp_path_factory.mktemp("authorities"))
    yield started
    started.stop()
