"""Provider plugins as the engine starts them, of which nothing is asked that takes a daemon."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.provider_process import ProviderProcess, providers


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[Callable[..., ProviderProcess]]:
    """Start provider plugins that end with the test."""
    with providers(tmp_path) as start:
        yield start


@pytest.fixture(scope="session")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProviderProcess]:
    """Return a provider plugin for all tests that only ask it: it keeps nothing in between."""
    with providers(tmp_path_factory.mktemp("plugin")) as start:
        yield start()
