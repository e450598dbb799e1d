"""The service's settings."""

from typing import ClassVar

from shopcore.settings import Port, ServiceSettings, ValkeyUrl


class Settings(ServiceSettings):
    """Everything that can be configured, with units in the names."""

    service: ClassVar[str] = "products"
    database_schema: ClassVar[str | None] = "products"

    listen_port: Port = 8002

    #: Where answers are cached; without it every answer comes from the database.
    valkey_url: ValkeyUrl | None = None
