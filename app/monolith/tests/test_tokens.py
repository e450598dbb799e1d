from __future__ import annotations

from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from monolith.auth.passwords import Passwords
from monolith.auth.tokens import AccessTokens
from monolith.settings import Settings
from shopcore.problems import Problem
from shopcore.settings import SettingsError


def _settings(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> Settings:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return Settings.model_validate(
        {
            "database_host": "h",
            "database_password": "p",
            "valkey_url": "redis://v",
            "stripe_api_base": "http://s",
            "stripe_api_key": "k",
            "jwt_private_key": pem,
        }
    )


def test_tokens_come_back_as_their_user() -> None:
    tokens = AccessTokens(_settings(ec.generate_private_key(ec.SECP256R1())))
    user_id = uuid4()
    assert tokens.verify(tokens.issue(user_id)) == user_id


def test_published_keys_check_tokens() -> None:
    tokens = AccessTokens(_settings(ec.generate_private_key(ec.SECP256R1())))
    token = tokens.issue(uuid4())
    published = jwt.PyJWKSet.from_dict(tokens.jwks)[jwt.get_unverified_header(token)["kid"]]
    assert jwt.decode(token, published, audience="triptych-shop", algorithms=["ES256"])


def test_key_ids_follow_from_the_key() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    assert AccessTokens(_settings(key)).jwks == AccessTokens(_settings(key)).jwks


def test_tokens_of_another_key_are_refused() -> None:
    ours, theirs = (
        AccessTokens(_settings(ec.generate_private_key(ec.SECP256R1()))) for _ in range(2)
    )
    with pytest.raises(Problem):
        ours.verify(theirs.issue(uuid4()))


@pytest.mark.parametrize(
    "key", [ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)]
)
def test_other_kinds_of_keys_are_refused(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
) -> None:
    with pytest.raises(SettingsError, match="P-256"):
        AccessTokens(_settings(key))


async def test_passwords_match_only_themselves() -> None:
    passwords = Passwords()
    stored = await passwords.hash("correct horse")
    assert await passwords.matches(stored, "correct horse")
    assert not await passwords.matches(stored, "wrong horse")
    assert not await passwords.matches(None, "no account has this password")
    assert not await passwords.matches("not a hash", "correct horse")
    passwords.close()
