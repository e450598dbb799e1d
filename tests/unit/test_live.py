"""What needs more than the Python environment is left out, or says so if it is named."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from tests import conftest
from tests.support import ROOT


def config(*arguments: str, live: bool = False, folder: Path = ROOT) -> pytest.Config:
    """Return what pytest makes of a command line, as far as it is looked at."""
    made = SimpleNamespace(
        args=list(arguments),
        invocation_params=SimpleNamespace(dir=folder),
        getoption=lambda name: {"--live": live}[name],
        addinivalue_line=lambda _name, _line: None,
    )
    return cast(pytest.Config, made)


def test_every_folder_of_tests_is_one_of_units_or_live() -> None:
    found = {path.parent for path in (ROOT / "tests").rglob("test_*.py")}
    folders = {path.relative_to(ROOT / "tests").parts[0] for path in found}
    assert folders <= {"unit", "runner", *conftest.LIVE}


@pytest.mark.parametrize("folder", conftest.LIVE)
def test_what_needs_more_is_collected_only_with_live(folder: str) -> None:
    for path in (ROOT / "tests" / folder, ROOT / "tests" / folder / "test_x.py"):
        assert conftest.pytest_ignore_collect(path, config()) is True
        assert conftest.pytest_ignore_collect(path, config(live=True)) is None
    unit = ROOT / "tests" / "unit" / folder
    assert conftest.pytest_ignore_collect(unit, config()) is None


@pytest.mark.parametrize("argument", ["tests/e2e", "tests/e2e/test_x.py::TestX::test_y[a::b]"])
def test_what_is_named_and_needs_more_says_so(argument: str) -> None:
    said = re.escape(f"{argument} needs real stacks: add --live")
    with pytest.raises(pytest.UsageError, match=f"^{said}$"):
        conftest.pytest_configure(config("tests/unit", argument))
    with pytest.raises(pytest.UsageError, match=re.escape("../e2e needs real stacks")):
        conftest.pytest_configure(config("../e2e", folder=ROOT / "tests" / "unit"))
    conftest.pytest_configure(config(argument, live=True))
    conftest.pytest_configure(config("tests", "tests/unit/bench"))


def item(test: str, **params: str) -> pytest.Item:
    """Return what a test with these inputs is collected as."""
    made = SimpleNamespace(path=Path("test_x.py"), name=test, originalname=test)
    if params:
        made.callspec = SimpleNamespace(params=params)
    return cast(pytest.Item, made)


def test_of_many_inputs_the_first_are_left_in_each_shop() -> None:
    items = [
        item("test_a", shape="one", value="1"),
        item("test_b"),
        item("test_a", shape="one", value="2"),
        item("test_a", shape="two", value="1"),
        item("test_a", shape="one", value="3"),
        item("test_a", shape="two", value="2"),
    ]
    assert list(conftest.beyond(items, 1)) == [items[2], items[4], items[5]]
    assert list(conftest.beyond(items, 2)) == [items[4]]
    assert list(conftest.beyond(items, 3)) == []
