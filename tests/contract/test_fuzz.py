"""Schemathesis: whatever the contract allows or forbids, the shop answers by the contract."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from requests.adapters import HTTPAdapter
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)
from urllib3.util import Retry

from .harness.client import TRY_AGAIN, Customer, Target
from .harness.fuzz import schema

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
    ignored_auth,
]


@pytest.fixture(scope="module")
def session(target: Target) -> Iterator[requests.Session]:
    """Keep connections: a TLS handshake for each request would take most of the time."""
    with requests.Session() as session:
        if target.patience_s:
            again = Retry(
                # Each time at the moment that the answer names.
                total=int(target.patience_s),
                status_forcelist=TRY_AGAIN,
                allowed_methods=None,
                respect_retry_after_header=True,
                raise_on_status=False,
            )
            session.mount("https://", HTTPAdapter(max_retries=again))
        yield session


@schema.parametrize()
def test_answers_by_the_contract(
    case: schemathesis.Case[Any], target: Target, session: requests.Session, member: Customer
) -> None:
    headers = {}
    if "security" in case.operation.definition.raw:
        headers["Authorization"] = f"Bearer {member.tokens['access_token']}"
    case.call_and_validate(
        base_url=target.base_url,
        session=session,
        verify=str(target.ca_file) if target.ca_file else True,
        headers=headers,
        checks=CHECKS,
    )
