"""The contract itself: well formed, complete in its errors, with examples that fit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.contract.harness.contract import PROBLEM, Contract, Operation, load_contract

OPERATIONS = load_contract().operations
BY_NAME = [pytest.param(operation, id=operation.name) for operation in OPERATIONS]
WITH_BODY = [
    pytest.param(operation, id=operation.name)
    for operation in OPERATIONS
    if "requestBody" in operation.document
]


@pytest.fixture(scope="module")
def contract() -> Contract:
    return load_contract()


def test_is_openapi_3_1(contract: Contract) -> None:
    assert contract.document["openapi"].startswith("3.1.")
    names = [operation.name for operation in contract.operations]
    assert len(names) == len(set(names)) == 17


def test_schemas_are_json_schema_2020_12(contract: Contract) -> None:
    for schema in contract.document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_every_reference_leads_somewhere(contract: Contract) -> None:
    for node in _nodes(contract.document):
        if "$ref" in node:
            assert contract.resolve(node)


def test_examples_fit_their_schemas(contract: Contract) -> None:
    checked = 0
    for name, schema in contract.document["components"]["schemas"].items():
        for example in schema.get("examples", []):
            assert contract.errors({"$ref": f"#/components/schemas/{name}"}, example) == []
            checked += 1
    for node in _nodes(contract.document["paths"]):
        if "example" in node and "schema" in node:
            assert contract.errors(node["schema"], node["example"]) == []
            checked += 1
    assert checked >= 8


@pytest.mark.parametrize("operation", BY_NAME)
def test_every_answer_names_its_request(contract: Contract, operation: Operation) -> None:
    for node in operation.document["responses"].values():
        assert "X-Request-ID" in contract.resolve(node)["headers"]


@pytest.mark.parametrize("operation", BY_NAME)
def test_every_error_is_problem_details(contract: Contract, operation: Operation) -> None:
    for status, node in operation.document["responses"].items():
        if int(status) >= 400:
            assert list(contract.resolve(node)["content"]) == [PROBLEM]


@pytest.mark.parametrize("operation", BY_NAME)
def test_errors_that_can_happen_are_named(operation: Operation) -> None:
    document = operation.document
    statuses = set(document["responses"])
    assert {"413", "500"} <= statuses
    assert ("401" in statuses) >= ("security" in document)
    if "requestBody" in document:
        assert {"400", "415", "422"} <= statuses


@pytest.mark.parametrize("operation", WITH_BODY)
def test_bodies_are_strict(contract: Contract, operation: Operation) -> None:
    schema = operation.document["requestBody"]["content"]["application/json"]["schema"]
    assert contract.resolve(schema)["additionalProperties"] is False


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from _nodes(value)
    elif isinstance(node, list):
        for item in node:
            yield from _nodes(item)
