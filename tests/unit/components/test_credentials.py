"""The credentials' provider: what it makes, keeps and renews."""

from __future__ import annotations

import contextlib
import ipaddress
import ssl
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, Self

import dill
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

import components.credentials as module
from components.credentials import _Provider
from tests.support.pulumi_mocks import DYNAMIC, Build, outs_of

NAMES = {"dns_names": ["shop.triptych.test", "localhost"], "ip_addresses": ["127.0.0.1"]}


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return outs_of(_Provider().create(dict(NAMES)))


def test_password_and_key_are_strong(made: dict[str, Any]) -> None:
    assert len(made["postgres_password"]) >= 40
    key = serialization.load_pem_private_key(made["jwt_private_key"].encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.curve.name == "secp256r1"


def test_each_stack_gets_its_own(made: dict[str, Any]) -> None:
    other = outs_of(_Provider().create(dict(NAMES)))
    for name in ("postgres_password", "jwt_private_key", "tls_private_key", "ca_private_key"):
        assert made[name] != other[name]


def test_certificate_is_good_for_its_names_and_signed_by_the_authority(
    made: dict[str, Any],
) -> None:
    certificate = x509.load_pem_x509_certificate(made["tls_certificate"].encode())
    authority = x509.load_pem_x509_certificate(made["ca_certificate"].encode())
    certificate.verify_directly_issued_by(authority)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == NAMES["dns_names"]
    assert names.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address("127.0.0.1")]


def test_openssl_takes_the_chain_at_its_strictest(made: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "server.pem"
    file.write_text(made["tls_certificate"] + made["tls_private_key"])
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(file)
    client_context = ssl.create_default_context(cadata=made["ca_certificate"])
    # What Python 3.13 asks for by default.
    client_context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN

    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname="localhost")
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(5):
        for side in (client, server):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
    assert client.version() == "TLSv1.3"
    certificate = client.getpeercert()
    assert certificate
    assert certificate["subjectAltName"]


def test_nothing_changes_by_itself(made: dict[str, Any]) -> None:
    assert _Provider().diff("id", made, dict(NAMES)).changes is False


def test_other_names_give_a_new_certificate_and_nothing_else(made: dict[str, Any]) -> None:
    names = {**NAMES, "ip_addresses": ["127.0.0.1", "10.91.0.10"]}
    assert _Provider().diff("id", made, names).changes is True
    updated = outs_of(_Provider().update("id", made, names))
    for kept in ("postgres_password", "jwt_private_key", "ca_certificate", "ca_private_key"):
        assert updated[kept] == made[kept]
    assert updated["tls_certificate"] != made["tls_certificate"]
    assert _Provider().diff("id", updated, names).changes is False


def test_certificate_is_renewed_in_time(
    made: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Later(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return super().now(UTC) + timedelta(days=module._CERTIFICATE_DAYS - 20)

    monkeypatch.setattr("datetime.datetime", Later)
    assert _Provider().diff("id", made, dict(NAMES)).changes is True


def test_provider_is_stored_by_name_so_that_code_changes_are_no_update() -> None:
    pickled = dill.dumps(_Provider(), recurse=True)
    assert b"components.credentials" in pickled
    assert len(pickled) < 500


MODELS = ("docker", "kubernetes", "vm")


class TestCredentialsResource:
    @pytest.mark.parametrize("model", MODELS)
    def test_certificate_names(self, build_stack: Build, model: str) -> None:
        (resource,) = [r for r in build_stack(model).resources.values() if r.typ == DYNAMIC]
        assert "localhost" in resource.inputs["dns_names"]
        expected = ["127.0.0.1", "10.99.0.10"] if model == "vm" else ["127.0.0.1"]
        assert resource.inputs["ip_addresses"] == expected
