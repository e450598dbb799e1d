from __future__ import annotations

from pathlib import Path

import pytest

from monolith.settings import Settings
from shopcore.settings import SettingsError


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    for name in ("password", "stripe", "jwt"):
        (tmp_path / name).write_text(f"secret-{name}\n")
    return {
        "DATABASE_HOST": "postgres",
        "DATABASE_PASSWORD_FILE": str(tmp_path / "password"),
        "VALKEY_URL": "redis://valkey:6379/0",
        "STRIPE_API_BASE": "http://stripe-mock:12111",
        "STRIPE_API_KEY_FILE": str(tmp_path / "stripe"),
        "JWT_PRIVATE_KEY_FILE": str(tmp_path / "jwt"),
    }


def test_defaults_and_secrets(env: dict[str, str]) -> None:
    settings = Settings.from_env(env)
    assert settings.database_port == 5432
    assert settings.database_password.get_secret_value() == "secret-password"
    assert "secret-" not in repr(settings)


def test_empty_variables_count_as_unset(env: dict[str, str]) -> None:
    assert Settings.from_env({**env, "LISTEN_PORT": ""}).listen_port == 8000


def test_every_fault_is_named_once(env: dict[str, str]) -> None:
    del env["DATABASE_HOST"]
    env |= {"LISTEN_PORT": "70000", "STRIPE_API_KEY_FILE": "/nonexistent"}
    with pytest.raises(SettingsError) as error:
        Settings.from_env(env)
    assert sorted(line.split(":")[0] for line in error.value.lines) == [
        "DATABASE_HOST",
        "LISTEN_PORT",
        "STRIPE_API_KEY_FILE",
    ]


def test_the_lease_outlasts_any_payment(env: dict[str, str]) -> None:
    for retries in range(6):
        settings = Settings.from_env({**env, "STRIPE_MAX_RETRIES": str(retries)})
        assert settings.payment_lease_s > settings.payment_deadline_s
