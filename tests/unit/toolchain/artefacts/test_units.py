"""Services as systemd units."""

from __future__ import annotations

import pytest

from shop.catalogue import GATEWAY, SHAPES
from shop.model import Health, Limits, SecretFile, Service
from tests.support import ROOT
from toolchain.artefacts import units


def a_service(**changes: object) -> Service:
    values = {
        "name": "sixth",
        "image": "sixth",
        "port": 8006,
        "uid": 10016,
        "command": ("/usr/bin/node", "/opt/sixth/main.js", "100%"),
        "limits": Limits(memory_mib=64, cpus=0.15),
        "health": Health(command=("/bin/true",)),
        "env": {"LISTEN_HOST": "0.0.0.0", "PRICE": 'say "$5"'},
        "secrets": (SecretFile("database", "DATABASE_FILE"),),
    }
    return Service(**{**values, **changes})  # type: ignore[arg-type]


def unit_lines(service: Service) -> list[str]:
    text = units.unit(service, (ROOT / "shop/guest/service.unit").read_text())
    return [line for line in text.splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize("jit", [False, True])
def test_a_unit_is_the_models_word_by_word(jit: bool) -> None:
    lines = unit_lines(a_service(jit=jit))
    head = lines[: lines.index("UMask=0077")]
    assert head == [
        "[Unit]",
        "Description=Triptych shop: sixth",
        "After=triptych-platform.service cloud-init-local.service",
        "PartOf=triptych.target",
        "RequiresMountsFor=/var/lib/triptych",
        "StartLimitIntervalSec=0",
        "[Service]",
        "Type=exec",
        "User=sixth",
        "Group=sixth",
        "ExecStart=/usr/bin/node /opt/sixth/main.js 100%%",
        "EnvironmentFile=/usr/lib/triptych/env/sixth",
        "EnvironmentFile=-/etc/triptych/env/sixth",
        "Restart=always",
        "RestartSec=500ms",
        "KillSignal=SIGTERM",
        "TimeoutStopSec=10",
        "Slice=triptych.slice",
        "MemoryMax=64M",
        "MemorySwapMax=0",
        "CPUQuota=15%",
        "TasksMax=256",
        "LimitNOFILE=65536",
        "LoadCredential=database:/etc/triptych/secrets/database",
        "IPAddressDeny=any",
        "IPAddressAllow=localhost",
        # A runtime that writes machine code as it goes could not with this one.
        *([] if jit else ["MemoryDenyWriteExecute=yes"]),
    ]
    # All the rest of the hardening is everyone's.
    rest = lines[lines.index("UMask=0077") :]
    assert "SystemCallFilter=~@privileged" in rest
    assert unit_lines(a_service())[-len(rest) :] == rest


def test_in_the_guest_only_the_gateway_listens_to_others() -> None:
    assert units.environment_file(a_service()) == (
        'DATABASE_FILE="/run/credentials/triptych-sixth.service/database"\n'
        'LISTEN_HOST="127.0.0.1"\n'
        'PRICE="say \\"\\$5\\""\n'
    )
    gateway = a_service(name=GATEWAY)
    assert 'LISTEN_HOST="0.0.0.0"' in units.environment_file(gateway)


@pytest.mark.parametrize("shape", SHAPES)
def test_units_hold_no_unfilled_placeholder(shape: str) -> None:
    for name, text in units.rendered_files(ROOT, shape).items():
        assert "${" not in text.replace("{$", ""), name


@pytest.mark.parametrize(
    ("word", "quoted"),
    [
        ("/usr/bin/caddy", "/usr/bin/caddy"),
        ("two words", '"two words"'),
        ("100%", "100%%"),
        ("$HOME", "$$HOME"),
        ('say "x"', '"say \\"x\\""'),
        ("", '""'),
    ],
)
def test_words_reach_systemd_unchanged(word: str, quoted: str) -> None:
    assert units.quoted(word) == quoted
