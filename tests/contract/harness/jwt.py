"""Tokens as an attacker, or a slow clock, would make them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256


def encode(data: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode_part(token: str, index: int) -> dict[str, Any]:
    """Return a token's header (0) or claims (1)."""
    part = token.split(".")[index]
    decoded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return decoded


def _unsigned(header: dict[str, Any], claims: dict[str, Any]) -> str:
    return f"{encode(json.dumps(header).encode())}.{encode(json.dumps(claims).encode())}"


def sign_es256(
    claims: dict[str, Any], key: EllipticCurvePrivateKey, header: dict[str, Any] | None = None
) -> str:
    """Return a token signed with the key."""
    signed = _unsigned({"alg": "ES256", "typ": "JWT", **(header or {})}, claims)
    r, s = decode_dss_signature(key.sign(signed.encode(), ECDSA(SHA256())))
    return f"{signed}.{encode(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def forgeries(good: str, jwks: dict[str, Any]) -> dict[str, str]:
    """Return tokens that must not be accepted, made from a good one and the published keys."""
    header, claims = decode_part(good, 0), decode_part(good, 1)
    head, body, signature = good.split(".")
    stranger = generate_private_key(SECP256R1())
    later = {**claims, "exp": int(time.time()) + 86_400}
    # The classic confusion: the public key taken for an HMAC secret.
    hs256 = _unsigned({**header, "alg": "HS256"}, claims)
    public = json.dumps(jwks["keys"][0]).encode()
    mac = encode(hmac.new(public, hs256.encode(), hashlib.sha256).digest())
    return {
        "alg none": _unsigned({**header, "alg": "none"}, claims) + ".",
        "alg None": _unsigned({**header, "alg": "None"}, claims) + ".",
        "wrong key": sign_es256(claims, stranger, {"kid": header["kid"]}),
        "own key in header": sign_es256(later, stranger, {"jwk": {"kty": "EC"}}),
        "HS256 with the public key": f"{hs256}.{mac}",
        "claims changed": f"{head}.{encode(json.dumps(later).encode())}.{signature}",
        "signature cut": f"{head}.{body}.{signature[:-4]}",
        "signature of zeros": f"{head}.{body}.{encode(bytes(64))}",
        "no signature": f"{head}.{body}.",
        "two parts": f"{head}.{body}",
        "garbage": "not-a-token",
        "empty parts": "..",
    }
