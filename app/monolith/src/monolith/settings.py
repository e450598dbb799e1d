"""The monolith's settings."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from pydantic import Field, SecretStr

from shopcore.settings import Port, Seconds, ServiceSettings, ValkeyUrl


class Settings(ServiceSettings):
    """Everything that can be configured, with units in the names."""

    service: ClassVar[str] = "monolith"
    secret_files: ClassVar[Mapping[str, str]] = {
        **ServiceSettings.secret_files,
        "stripe_api_key": "STRIPE_API_KEY_FILE",
        "jwt_private_key": "JWT_PRIVATE_KEY_FILE",
    }

    listen_port: Port = 8000

    valkey_url: ValkeyUrl
    valkey_timeout_s: Seconds = 1.0

    stripe_api_base: str = Field(pattern=r"^https?://[^\s]+$")
    stripe_api_key: SecretStr
    stripe_timeout_s: Seconds = 4.0
    stripe_max_retries: int = Field(default=1, ge=0, le=5)

    jwt_private_key: SecretStr
    jwt_issuer: str = "triptych"
    jwt_audience: str = "triptych-shop"
    access_token_ttl_s: int = Field(default=900, ge=1, le=86_400)
    refresh_token_ttl_s: int = Field(default=14 * 86_400, ge=1, le=90 * 86_400)
    cart_ttl_s: int = Field(default=7 * 86_400, ge=1, le=90 * 86_400)

    recovery_interval_s: Seconds = 5.0

    #: Where the frontend's built files lie; without it the service has the API alone.
    storefront_dir: Path | None = None

    @property
    def payment_deadline_s(self) -> float:
        """Longest time that one payment call with its retries can take, in seconds."""
        calls = 1 + self.stripe_max_retries
        return calls * self.stripe_timeout_s + self.stripe_max_retries * 2.0

    @property
    def payment_lease_s(self) -> float:
        """How long a process may keep an order to itself; longer than any payment it makes."""
        return self.payment_deadline_s * 2 + 2.0
