"""The pages have words for everything that the contract can say."""

from __future__ import annotations

import re

from tests.contract.harness.contract import load_contract
from tests.support import ROOT

SOURCES = ROOT / "app" / "frontend" / "src"


def test_the_pages_know_every_problem_type() -> None:
    # For each type in this list the compiler asks for words (src/faults.ts).
    source = (SOURCES / "api" / "contract.ts").read_text()
    (listed,) = re.findall(r"PROBLEM_TYPES = \[(.*?)\]", source, re.DOTALL)
    schemas = load_contract().document["components"]["schemas"]
    expected = {
        kind.removeprefix("urn:triptych:problem:") for kind in schemas["ProblemType"]["enum"]
    }
    assert set(re.findall(r'"([a-z-]+)"', listed)) == expected


def test_the_pages_know_every_member_of_what_they_show() -> None:
    source = (SOURCES / "api" / "contract.ts").read_text()
    schemas = load_contract().document["components"]["schemas"]
    for name in ("Money", "Product", "Line", "Cart", "Order", "User", "TokenPair", "Shortage"):
        (body,) = re.findall(
            rf"export interface {name} {{(.*?)^}}", source, re.DOTALL | re.MULTILINE
        )
        members = set(re.findall(r"^  (\w+)\??:", body, re.MULTILINE))
        assert members == set(schemas[name]["properties"]), name
