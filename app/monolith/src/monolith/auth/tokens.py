"""Access tokens: JWT signed with ES256, the only algorithm that is ever accepted."""

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from monolith.settings import Settings
from shopcore.problems import Problem, ProblemType
from shopcore.settings import SettingsError

ALGORITHM = "ES256"
_REQUIRED = ["exp", "iat", "iss", "aud", "sub"]


class AccessTokens:
    """Issues and checks access tokens, and publishes the key that checks them."""

    def __init__(self, settings: Settings) -> None:
        self._private_key = _load_key(settings.jwt_private_key.get_secret_value())
        self._public_key = self._private_key.public_key()
        self._issuer = settings.jwt_issuer
        self._audience = settings.jwt_audience
        self.ttl_s = settings.access_token_ttl_s
        numbers = self._public_key.public_numbers()
        thumbprint_input = {
            "crv": "P-256",
            "kty": "EC",
            "x": _b64url(numbers.x.to_bytes(32, "big")),
            "y": _b64url(numbers.y.to_bytes(32, "big")),
        }
        # RFC 7638: the id follows from the key, so every process publishes the same one.
        digest = hashlib.sha256(
            json.dumps(thumbprint_input, separators=(",", ":"), sort_keys=True).encode()
        )
        self._key_id = _b64url(digest.digest())
        self.jwks = {
            "keys": [
                {**thumbprint_input, "kid": self._key_id, "alg": ALGORITHM, "use": "sig"},
            ]
        }

    def issue(self, user_id: UUID) -> str:
        """Return a token for the user, valid for `ttl_s` seconds."""
        now = datetime.now(UTC)
        return jwt.encode(
            {
                "iss": self._issuer,
                "aud": self._audience,
                "sub": str(user_id),
                "iat": now,
                "exp": now + timedelta(seconds=self.ttl_s),
                "jti": uuid4().hex,
            },
            self._private_key,
            algorithm=ALGORITHM,
            headers={"kid": self._key_id},
        )

    def verify(self, token: str) -> UUID:
        """Return the token's user; raise the 401 problem if anything about it is wrong."""
        try:
            claims = jwt.decode(
                token,
                self._public_key,
                algorithms=[ALGORITHM],
                issuer=self._issuer,
                audience=self._audience,
                options={"require": _REQUIRED},
            )
            return UUID(claims["sub"])
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError) as error:
            raise authentication_required(invalid=True) from error


def authentication_required(*, invalid: bool) -> Problem:
    """Return the 401 problem for a token that is missing or not valid."""
    challenge = 'Bearer realm="triptych"'
    if invalid:
        challenge += ', error="invalid_token"'
    return Problem(
        ProblemType.AUTHENTICATION_REQUIRED,
        "The access token is not valid." if invalid else "No bearer token was sent.",
        headers={"WWW-Authenticate": challenge},
    )


def _load_key(pem: str) -> EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise SettingsError(["JWT_PRIVATE_KEY_FILE: not a private key in PEM"]) from None
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise SettingsError(["JWT_PRIVATE_KEY_FILE: ES256 needs an EC key on P-256"])
    return key


def _b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
