"""The contract as a checker: every answer has to be one that openapi.yaml allows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import yaml
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

CONTRACT_FILE = Path(__file__).parents[3] / "app" / "contract" / "openapi.yaml"
PROBLEM = "application/problem+json"
METHODS = ("get", "put", "post", "delete", "patch", "head", "options", "trace")
_ROOT = "urn:contract"


class ContractViolation(AssertionError):
    """An answer that the contract does not allow."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path, with references in its responses followed."""

    path: str
    method: str
    document: dict[str, Any]

    @property
    def name(self) -> str:
        """The operation's id."""
        return str(self.document["operationId"])


class Contract:
    """The parsed openapi.yaml."""

    def __init__(self, path: Path = CONTRACT_FILE) -> None:
        self.document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        resource = Resource.from_contents(self.document, default_specification=DRAFT202012)
        self._registry: Registry[Any] = Registry().with_resource(_ROOT, resource)
        self.operations = [
            Operation(path, method, item[method])
            for path, item in self.document["paths"].items()
            for method in METHODS
            if method in item
        ]
        self._by_pattern = [
            (re.compile(re.sub(r"\{[^}]+\}", "[^/]+", operation.path)), operation)
            for operation in self.operations
        ]

    def resolve(self, node: dict[str, Any]) -> dict[str, Any]:
        """Follow a local reference."""
        while "$ref" in node:
            target: Any = self.document
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part.replace("~1", "/").replace("~0", "~")]
            node = target
        return node

    def operation(self, method: str, path: str) -> Operation | None:
        """Return the operation that serves a request, or None."""
        for pattern, operation in self._by_pattern:
            if operation.method == method.lower() and pattern.fullmatch(path):
                return operation
        return None

    def errors(self, schema: dict[str, Any], value: Any) -> list[str]:
        """Return how a value breaks a schema of the contract."""
        validator = Draft202012Validator(
            _absolute(schema), registry=self._registry, format_checker=FormatChecker()
        )
        return [
            f"{'/'.join(map(str, error.absolute_path)) or '(whole)'}: {error.message}"
            for error in validator.iter_errors(value)
        ]

    def check(self, response: httpx.Response) -> None:
        """Raise ContractViolation unless the contract allows this answer to its request."""
        request = response.request
        where = f"{request.method} {request.url.path} -> {response.status_code}"
        operation = self.operation(request.method, request.url.path)
        if operation is None:
            self._check_unknown(response, where)
            return
        allowed = operation.document["responses"].get(str(response.status_code))
        if allowed is None:
            raise ContractViolation(f"{where}: no such status there: {response.text[:500]}")
        documented = self.resolve(allowed)
        self._check_headers(response, documented, where)
        content = documented.get("content")
        media_type = response.headers.get("content-type", "").partition(";")[0]
        if content is None:
            if response.content:
                raise ContractViolation(f"{where}: there should be no body")
            return
        if media_type not in content:
            raise ContractViolation(f"{where}: {media_type!r} is none of {list(content)}")
        if media_type.endswith("json"):
            self._check_body(response, content[media_type]["schema"], where)

    def _check_unknown(self, response: httpx.Response, where: str) -> None:
        if response.status_code not in (404, 405, 413):
            raise ContractViolation(f"{where}: an operation that the contract does not have")
        self.check_problem(response)

    def check_problem(self, response: httpx.Response) -> None:
        """Raise ContractViolation unless the answer is a problem document."""
        where = f"{response.request.method} {response.request.url.path} -> {response.status_code}"
        if response.headers.get("content-type") != PROBLEM:
            raise ContractViolation(f"{where}: not {PROBLEM}")
        if response.status_code == 405 and not response.headers.get("allow"):
            raise ContractViolation(f"{where}: no Allow")
        self._check_body(response, {"$ref": "#/components/schemas/Problem"}, where)

    def _check_headers(
        self, response: httpx.Response, documented: dict[str, Any], where: str
    ) -> None:
        for name, node in documented.get("headers", {}).items():
            header = self.resolve(node)
            text = response.headers.get(name)
            if text is None:
                if header.get("required"):
                    raise ContractViolation(f"{where}: header {name} is missing")
                continue
            schema = header["schema"]
            value: Any = int(text) if schema.get("type") == "integer" else text
            if errors := self.errors(schema, value):
                raise ContractViolation(f"{where}: header {name}: {errors}")

    def _check_body(self, response: httpx.Response, schema: dict[str, Any], where: str) -> None:
        try:
            body = response.json()
        except ValueError:
            raise ContractViolation(f"{where}: the body is not JSON") from None
        if errors := self.errors(schema, body):
            raise ContractViolation(f"{where}: {'; '.join(errors)}; body: {response.text[:500]}")
        if response.headers["content-type"].startswith(PROBLEM):
            if body["status"] != response.status_code:
                raise ContractViolation(f"{where}: the problem says {body['status']}")
            if body["request_id"] != response.headers["x-request-id"]:
                raise ContractViolation(f"{where}: request_id differs from X-Request-ID")
            path = response.request.url.raw_path.decode().partition("?")[0]
            if body["instance"] not in (path, "/"):  # the gateway, which may not repeat any path
                raise ContractViolation(f"{where}: the problem is about {body['instance']}")
            if "Traceback" in response.text or 'File "' in response.text:
                raise ContractViolation(f"{where}: a stack trace leaves the service")


def _absolute(node: Any) -> Any:
    """Return the schema with its local references made absolute."""
    if isinstance(node, dict):
        return {
            key: f"{_ROOT}{value}" if key == "$ref" else _absolute(value)
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [_absolute(item) for item in node]
    return node


@cache
def load_contract() -> Contract:
    """Return the contract, parsed once."""
    return Contract()
