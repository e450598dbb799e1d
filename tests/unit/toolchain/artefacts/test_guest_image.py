"""What goes into a guest's image."""

from __future__ import annotations

from pathlib import Path

import pytest

from shop.catalogue import SHAPES, SURROUNDINGS, services
from tests.support import ROOT
from toolchain.artefacts import guest_image, recipes, units
from toolchain.artefacts.guest_image import package_names

OWN = sorted({name for shape in SHAPES for name in recipes.app_services(shape)})


@pytest.mark.parametrize("shape", SHAPES)
def test_a_guest_gets_the_same_files_and_bytes_as_the_images(shape: str) -> None:
    copied, texts = guest_image.shape_files(ROOT, shape)
    caddyfile = ROOT / "shop/images/gateway/Caddyfile"
    assert copied["files/etc/caddy/Caddyfile"] == caddyfile
    assert copied["files/usr/local/bin/triptych-postgres"] == (
        ROOT / "shop/images/postgres/triptych-postgres"
    )
    refs = {name: f"registry/{name}:1" for name in OWN}
    taken = guest_image.dockerfile(ROOT, shape, refs).splitlines()[
        -len(recipes.app_services(shape)) :
    ]
    assert taken == [
        f"COPY --from=registry/{name}:1 /opt/{name} /opt/{name}"
        for name in recipes.app_services(shape)
    ]
    for service in services(shape):
        unit = texts[f"files/etc/systemd/system/triptych-{service.name}.service"]
        assert f"MemoryMax={service.limits.memory_mib}M" in unit
        assert f"CPUQuota={round(service.limits.cpus * 100)}%" in unit
        assert "NoNewPrivileges=yes" in unit
        for secret in service.secrets:
            assert f"LoadCredential={secret.name}:{units.SECRETS_DIR}/{secret.name}" in unit


@pytest.mark.parametrize("shape", SHAPES)
def test_a_guest_carries_its_own_shape_alone(shape: str) -> None:
    wanted = {service.name: service.uid for service in services(shape)}
    _, texts = guest_image.shape_files(ROOT, shape)
    prefix, suffix = "files/etc/systemd/system/triptych-", ".service"
    found = {n.removeprefix(prefix).removesuffix(suffix) for n in texts if n.startswith(prefix)}
    assert found == {*wanted, "workload"}
    users = dict(line.split() for line in texts["shape/users"].splitlines())
    assert users == {name: str(uid) for name, uid in wanted.items()}
    names = texts["files/etc/hosts"].splitlines()[-1].split()
    assert names == ["127.0.0.1", *wanted]
    own = [f"triptych-{name}.service" for name in wanted if name not in SURROUNDINGS]
    mark = texts[f"{prefix}workload{suffix}"].splitlines()
    assert f"After={' '.join(own)}" in mark
    assert f"Requisite={' '.join(own)}" in mark


def test_common_users_are_there_before_the_packages_that_would_make_them() -> None:
    _, texts = guest_image.system_files(ROOT)
    assert [line.split()[0] for line in texts["system/users"].splitlines()] == list(SURROUNDINGS)


def test_packages_that_every_guest_has_are_not_installed_again(clone: Path) -> None:
    (clone / "app/auth/packages").write_text("# runs on\nnodejs\npython3\n")
    for name in ("products", "cart", "frontend", "payments"):
        (clone / "app" / name / "packages").write_text("caddy\n")
    assert guest_image.extra_packages(clone, "microservices") == ["nodejs"]


def test_package_lists_may_have_comments() -> None:
    assert package_names("# head\nsystemd\n\nudev # why\n") == ["systemd", "udev"]
