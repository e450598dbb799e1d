"""Settings: the one place that reads the environment.

Secrets are read from files that `*_FILE` variables name, never from the environment itself.
Plain pydantic, not pydantic-settings: what that adds is small, and imports are start-up time.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
ValkeyUrl = Annotated[str, Field(pattern=r"^rediss?://[^\s]+$")]


class SettingsError(Exception):
    """The environment is incomplete or wrong; `lines` has one sentence per fault."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("; ".join(lines))
        self.lines = lines


class ServiceSettings(BaseModel):
    """What every service can be told, with units in the names; each adds its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: The service's name, in logs and to its database.
    service: ClassVar[str]
    #: The database schema that its tables are in; None for the server's default.
    database_schema: ClassVar[str | None] = None
    #: Fields that are secrets, and the variable that names the file of each.
    secret_files: ClassVar[Mapping[str, str]] = {"database_password": "DATABASE_PASSWORD_FILE"}

    database_host: str = Field(min_length=1)
    database_port: Port = 5432
    database_name: str = Field(default="shop", min_length=1)
    database_user: str = Field(default="shop", min_length=1)
    database_password: SecretStr
    database_pool_size: int = Field(default=10, ge=1, le=100)
    database_timeout_s: Seconds = 5.0

    startup_timeout_s: Seconds = 600.0
    shutdown_grace_s: int = Field(default=10, ge=1, le=120)

    listen_host: str = "127.0.0.1"
    listen_port: Port
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    release: str = "dev"
    #: Costs to have on purpose, see shopcore.known_costs; empty for none.
    known_costs: str = ""

    @field_validator("known_costs")
    @classmethod
    def _known_costs_can_be_read(cls, text: str) -> str:
        if text:
            # Imported by those alone who are told to have any: imports are start-up time.
            from shopcore.known_costs import KnownCosts

            KnownCosts.from_text(text)
        return text

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Self:
        """Read the settings; raise SettingsError that names every variable at fault."""
        source = os.environ if env is None else env
        values: dict[str, object] = {}
        lines: list[str] = []
        for name in cls.model_fields:
            if name in cls.secret_files:
                secret = _read_secret(source, cls.secret_files[name], lines)
                if secret is not None:
                    values[name] = secret
            elif raw := source.get(name.upper()):
                values[name] = raw
        try:
            settings = cls.model_validate(values)
        except ValidationError as error:
            unread = {name for name in cls.secret_files if name not in values}
            for fault in error.errors(include_url=False, include_input=False):
                name = str(fault["loc"][0])
                if name not in unread:
                    message = fault["msg"]
                    lines.append(f"{name.upper()}: {message[0].lower()}{message[1:]}")
            raise SettingsError(lines) from None
        return settings


def _read_secret(env: Mapping[str, str], variable: str, lines: list[str]) -> str | None:
    path = env.get(variable)
    if not path:
        lines.append(f"{variable}: not set; it names the file that holds the secret")
        return None
    try:
        secret = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        lines.append(f"{variable}: cannot read {path}: {reason}")
        return None
    if not secret:
        lines.append(f"{variable}: {path} is empty")
        return None
    return secret
