"""uv asks where the user's pip does."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from toolchain import python_env
from toolchain.python_env import uv_environment


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Stand for pip's own files."""
    values: dict[str, str] = {}
    monkeypatch.setattr(python_env, "_configured", lambda _python: values)
    return values


PYTHON = Path(sys.executable)


def test_nothing_configured_is_nothing_told(configured: dict[str, str]) -> None:
    assert uv_environment(PYTHON, {}) == {}


def test_pips_files_and_variables_are_told(configured: dict[str, str]) -> None:
    configured["global.index-url"] = "https://mirror.example/simple"
    configured["install.extra-index-url"] = "https://a.example\nhttps://b.example"
    configured["global.cert"] = "/etc/own.pem"
    configured[":env:.cert"] = "/other.pem"
    configured[":env:.find-links"] = "/wheels"
    assert uv_environment(PYTHON, {}) == {
        "UV_DEFAULT_INDEX": "https://mirror.example/simple",
        "UV_INDEX": "https://a.example https://b.example",
        "UV_FIND_LINKS": "/wheels",
        "SSL_CERT_FILE": "/other.pem",
    }


def test_uvs_own_variables_win(configured: dict[str, str]) -> None:
    configured["global.index-url"] = "https://mirror.example/simple"
    assert uv_environment(PYTHON, {"UV_DEFAULT_INDEX": "https://uv.example"}) == {}


def test_pip_is_asked_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "pip.conf"
    file.write_text("[global]\nextra-index-url =\n  https://a.example\n  https://b.example\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(file))
    monkeypatch.setenv("PIP_FIND_LINKS", "/it's/here")
    told = uv_environment(PYTHON, {})
    assert told["UV_INDEX"] == "https://a.example https://b.example"
    assert told["UV_FIND_LINKS"] == "/it's/here"
