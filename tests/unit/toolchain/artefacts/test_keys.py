"""Keys: what changes them, and what does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from shop.catalogue import SHAPES, services
from shop.model import Service
from tests.support import ROOT
from toolchain.artefacts import keys, recipes, units
from toolchain.artefacts.keys import guest_key, image_key, source_keys
from toolchain.artefacts.recipes import context_files, image_names, shipped_files

GUESTS = {f"guest-{shape}" for shape in SHAPES}
OWN = sorted({name for shape in SHAPES for name in recipes.app_services(shape)})


def test_the_same_sources_have_the_same_keys_wherever_they_lie(clone: Path) -> None:
    assert source_keys(clone) == source_keys(ROOT)


def test_what_a_service_builds_beside_its_sources_changes_no_key(clone: Path) -> None:
    before = source_keys(clone)
    for name in ("node_modules/x/y.js", "dist/main.js", "target/a.jar", ".venv/b", "a.pyc"):
        for service in OWN:
            (clone / "app" / service / name).parent.mkdir(parents=True, exist_ok=True)
            (clone / "app" / service / name).write_text("built")
    assert source_keys(clone) == before


CHANGES: tuple[tuple[str, set[str]], ...] = (
    ("shop/images/gateway/Caddyfile", {"gateway", *GUESTS}),
    ("shop/images/postgres/postgresql.conf", {"postgres", *GUESTS}),
    ("app/monolith/src/monolith/server.py", {"monolith", "guest-monolith"}),
    ("app/monolith/requirements.lock", {"monolith", "guest-monolith"}),
    ("app/cart/go.mod", {"cart", "guest-microservices"}),
    ("shop/guest/finish", GUESTS),
    ("shop/guest/root/etc/fstab", GUESTS),
    ("shop/guest/service.unit", GUESTS),
    ("toolchain/artefacts/guest_disk.py", GUESTS),
    ("toolchain/artefacts/base.py", {*image_names(), *GUESTS, "node"}),
    ("toolchain/buildah.py", {*image_names(), *GUESTS, "node"}),
    ("k8s/images/registry/config.yml", {"registry"}),
    ("k8s/images/coredns/Dockerfile", {"node"}),
    ("k8s/node/rootfs/etc/cni/net.d/10-triptych.conflist", {"node"}),
    ("k8s/kind.yaml", set()),
    ("toolchain/go/kube-router/go.sum", {"node"}),
    ("toolchain/go/etcd/main.go", {"node"}),
    ("toolchain/go/stripe-mock/go.sum", set()),
    ("app/cart/internal/cart/extra_test.go", set()),
    ("app/products/tests/test_extra.py", set()),
    ("app/auth/bench/extra.mjs", set()),
    ("shop/catalogue.py", set()),
    ("toolchain/doctor.py", set()),
)


def test_a_change_makes_anew_what_it_goes_into_and_nothing_else(clone: Path) -> None:
    before = source_keys(clone)
    for path, changed in CHANGES:
        (clone / path).parent.mkdir(parents=True, exist_ok=True)
        with (clone / path).open("a") as out:
            out.write("\n# changed\n")
        after = source_keys(clone)
        assert {name for name in before if before[name] != after[name]} == changed, path
        before = after


def test_the_common_python_package_is_part_of_those_who_copy_it(clone: Path) -> None:
    before = source_keys(clone)
    (clone / "app/pycore/src/shopcore/another.py").write_text("")
    after = source_keys(clone)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"monolith", "products", *GUESTS}


def test_another_frontend_makes_another_monolith(clone: Path) -> None:
    assert recipes.built_on(clone, "monolith") == ("frontend",)
    before = image_key(clone, "monolith")
    (clone / "app/frontend/index.html").write_text("")
    assert image_key(clone, "monolith") != before


def test_a_setting_of_a_service_makes_another_disk_of_its_shapes_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = {shape: guest_key(ROOT, shape) for shape in SHAPES}

    def changed(shape: str) -> tuple[Service, ...]:
        found = services(shape)
        if shape == "monolith":
            return found
        return tuple(replace(s, env={**s.env, "LOG_LEVEL": "DEBUG"}) for s in found)

    monkeypatch.setattr(units, "services", changed)
    after = {shape: guest_key(ROOT, shape) for shape in SHAPES}
    assert {shape for shape in SHAPES if before[shape] != after[shape]} == {"microservices"}


def test_an_executable_bit_is_part_of_the_key(clone: Path) -> None:
    before = guest_key(clone, "monolith")
    (clone / "shop/guest/make-disk").chmod(0o644)
    assert guest_key(clone, "monolith") != before


def test_tests_are_in_the_context_but_make_no_difference(tmp_path: Path) -> None:
    names = (
        *("src/a.py", "tests/test_a.py", "test/a.test.ts", "src/b.test.tsx", "src/latest/c.ts"),
        *("bench/x.go", "internal/d.go", "internal/d_test.go", "src/test/java/E.java"),
    )
    for name in names:
        path = tmp_path / "app/sixth" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    assert sorted(context_files(tmp_path, "sixth")) == sorted(names)
    assert list(shipped_files(tmp_path, "sixth")) == [
        "internal/d.go",
        "src/a.py",
        "src/latest/c.ts",
    ]


def test_keys_are_twelve_hex_digits() -> None:
    for key in source_keys(ROOT).values():
        assert len(key) == 12
        assert int(key, 16) >= 0
    assert image_key(ROOT, "gateway") != image_key(ROOT, "valkey")
    assert keys.stripe_mock_version(ROOT).startswith("v0.")
