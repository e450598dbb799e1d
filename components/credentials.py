"""Everything secret that a stack makes for itself, as one Pulumi resource.

A password, the key that signs the shop's tokens, and a small certificate authority with the
gateway's certificate. They are made once and stay the same through updates: new ones are issued
for the certificate alone, when its names change or it is about to expire. The resource is a
dynamic one, run by Pulumi's bundled Python provider; it needs no daemon and no network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi import dynamic

#: The names under which services ask for them (``SecretFile.name``).
SECRET_NAMES = ("jwt_private_key", "postgres_password", "tls_certificate", "tls_private_key")

_CA_DAYS = 3650
_CERTIFICATE_DAYS = 397
_RENEW_BEFORE_DAYS = 30


@dataclass(frozen=True, kw_only=True)
class CredentialsArgs:
    """Arguments of ``Credentials``: what the gateway's certificate is good for."""

    dns_names: Sequence[str]
    ip_addresses: Sequence[str]


class _Provider(dynamic.ResourceProvider):
    """Makes the material. Imports inside methods: the program itself never needs them."""

    # The material is secret, so the provider's own serialized form need not be: it is code.
    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        """Make everything anew."""
        import secrets

        outs = {
            "postgres_password": secrets.token_urlsafe(32),
            "jwt_private_key": _new_key(),
            **_new_authority(),
        }
        outs |= _issue(outs, props)
        return dynamic.CreateResult(id_=f"credentials-{secrets.token_hex(8)}", outs=outs)

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> dynamic.DiffResult:
        """Ask for an update when the certificate's names have changed or it expires soon."""
        changed = any(list(olds[key]) != list(news[key]) for key in ("dns_names", "ip_addresses"))
        return dynamic.DiffResult(changes=changed or _expires_soon(olds["tls_certificate"]))

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> dynamic.UpdateResult:
        """Issue a new certificate from the same authority; keep all else."""
        kept = ("postgres_password", "jwt_private_key", "ca_certificate", "ca_private_key")
        outs = {key: olds[key] for key in kept}
        return dynamic.UpdateResult(outs=outs | _issue(outs, news))


class Credentials(dynamic.Resource):
    """The stack's secrets.

    Outputs: ``postgres_password``, ``jwt_private_key``, ``tls_certificate``, ``tls_private_key``,
    ``ca_private_key`` (secret) and ``ca_certificate`` (public, PEM).
    """

    postgres_password: pulumi.Output[str]
    jwt_private_key: pulumi.Output[str]
    tls_certificate: pulumi.Output[str]
    tls_private_key: pulumi.Output[str]
    ca_certificate: pulumi.Output[str]
    ca_private_key: pulumi.Output[str]

    def __init__(
        self, name: str, args: CredentialsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        secret = pulumi.ResourceOptions(
            additional_secret_outputs=[
                "ca_private_key",
                "jwt_private_key",
                "postgres_password",
                "tls_certificate",
                "tls_private_key",
            ]
        )
        super().__init__(
            _Provider(),
            name,
            {
                "dns_names": list(args.dns_names),
                "ip_addresses": list(args.ip_addresses),
                "ca_certificate": None,
                "ca_private_key": None,
                "jwt_private_key": None,
                "postgres_password": None,
                "tls_certificate": None,
                "tls_private_key": None,
            },
            pulumi.ResourceOptions.merge(secret, opts),
        )

    def secret_files(self) -> dict[str, pulumi.Output[str]]:
        """Return the content of each secret file by its name."""
        # Said once more than additional_secret_outputs: in a preview the values are unknown, and
        # only this keeps what is derived from them marked as secret there.
        return {name: pulumi.Output.secret(getattr(self, name)) for name in SECRET_NAMES}


def _new_key() -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def _builder(subject: str, public_key: Any, issuer: Any, days: int) -> Any:
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.x509.oid import NameOID

    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    # An hour back: a guest's clock may lag behind the host's.
    start = datetime.now(UTC) - timedelta(hours=1)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer or name)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
    )


def _load_key(pem: str) -> Any:
    from cryptography.hazmat.primitives import serialization

    return serialization.load_pem_private_key(pem.encode(), None)


def _new_authority() -> dict[str, str]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    pem = _new_key()
    key = _load_key(pem)
    usage = x509.KeyUsage(
        key_cert_sign=True,
        crl_sign=True,
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        _builder("Triptych stack CA", key.public_key(), None, _CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    encoded = certificate.public_bytes(serialization.Encoding.PEM).decode()
    return {"ca_private_key": pem, "ca_certificate": encoded}


def _issue(authority: dict[str, Any], names: dict[str, Any]) -> dict[str, Any]:
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.x509.oid import ExtendedKeyUsageOID

    ca_key = _load_key(authority["ca_private_key"])
    ca = x509.load_pem_x509_certificate(authority["ca_certificate"].encode())
    pem = _new_key()
    public_key = _load_key(pem).public_key()
    alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names["dns_names"]]
    alternatives += [
        x509.IPAddress(ipaddress.ip_address(address)) for address in names["ip_addresses"]
    ]
    certificate = (
        _builder(names["dns_names"][0], public_key, ca.subject, _CERTIFICATE_DAYS)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
        .sign(ca_key, hashes.SHA256())
    )
    return {
        "dns_names": list(names["dns_names"]),
        "ip_addresses": list(names["ip_addresses"]),
        "tls_certificate": certificate.public_bytes(serialization.Encoding.PEM).decode(),
        "tls_private_key": pem,
    }


def _expires_soon(pem: str) -> bool:
    from datetime import UTC, datetime, timedelta

    from cryptography import x509

    certificate = x509.load_pem_x509_certificate(pem.encode())
    left = certificate.not_valid_after_utc - datetime.now(UTC)
    return left < timedelta(days=_RENEW_BEFORE_DAYS)
