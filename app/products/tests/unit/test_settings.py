from __future__ import annotations

from pathlib import Path

import pytest

from products.settings import Settings
from shopcore.settings import SettingsError


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "password").write_text("secret\n")
    return {
        "DATABASE_HOST": "postgres",
        "DATABASE_PASSWORD_FILE": str(tmp_path / "password"),
        "VALKEY_URL": "redis://valkey:6379/1",
    }


def test_defaults(env: dict[str, str]) -> None:
    settings = Settings.from_env(env)
    assert (settings.listen_port, settings.database_schema) == (8002, "products")
    assert settings.valkey_url == "redis://valkey:6379/1"


@pytest.mark.parametrize("unset", [{"VALKEY_URL": ""}, {}])
def test_the_cache_can_be_left_out(env: dict[str, str], unset: dict[str, str]) -> None:
    if not unset:
        del env["VALKEY_URL"]
    assert Settings.from_env({**env, **unset}).valkey_url is None


def test_every_fault_is_named(env: dict[str, str]) -> None:
    env |= {"VALKEY_URL": "valkey:6379", "DATABASE_PASSWORD_FILE": "", "LOG_LEVEL": "LOUD"}
    with pytest.raises(SettingsError) as error:
        Settings.from_env(env)
    assert sorted(line.split(":")[0] for line in error.value.lines) == [
        "DATABASE_PASSWORD_FILE",
        "LOG_LEVEL",
        "VALKEY_URL",
    ]
