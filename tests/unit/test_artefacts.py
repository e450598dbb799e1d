"""Content keys, what goes into each artefact, and what is told of it."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import os
import re
import shutil
import stat
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from shop.catalogue import GATEWAY, SHAPES, SURROUNDINGS, services
from shop.model import Health, Limits, SecretFile, Service
from toolchain.artefacts import build, guest_image, keys, pool, recipes, registry, units
from toolchain.artefacts.guest_disk import read_disk
from toolchain.artefacts.guest_image import package_names
from toolchain.artefacts.images import BaseImage, Image, read_base, read_image
from toolchain.artefacts.keys import guest_key, image_key, source_keys
from toolchain.artefacts.recipes import assemble, context_files, image_names, shipped_files
from toolchain.paths import Paths
from toolchain.sources import source_files
from toolchain.steps import Step, StepContext, StepError, check_graph

ROOT = Path(__file__).resolve().parents[2]
GUESTS = {f"guest-{shape}" for shape in SHAPES}
OWN = sorted({name for shape in SHAPES for name in recipes.app_services(shape)})


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a copy of the sources that artefacts are made of, outside of any repository."""
    for name, path in source_files(ROOT, "app", "k8s", "shop", "toolchain").items():
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return tmp_path


def test_the_same_sources_have_the_same_keys_wherever_they_lie(clone: Path) -> None:
    assert source_keys(clone) == source_keys(ROOT)


def test_what_a_service_builds_beside_its_sources_changes_no_key(clone: Path) -> None:
    before = source_keys(clone)
    for name in ("node_modules/x/y.js", "dist/main.js", "target/a.jar", ".venv/b", "a.pyc"):
        for service in OWN:
            (clone / "app" / service / name).parent.mkdir(parents=True, exist_ok=True)
            (clone / "app" / service / name).write_text("built")
    assert source_keys(clone) == before


def test_in_a_repository_its_ignored_files_are_no_sources(tmp_path: Path) -> None:
    for name in ("app/a.py", "app/secret.txt", "app/new.py", "other/b.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / ".gitignore").write_text("secret.txt\n")
    for words in (["init", "--quiet"], ["add", "app/a.py", "other/b.py"]):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True)
    (tmp_path / "other/b.py").unlink()
    assert list(source_files(tmp_path)) == [".gitignore", "app/a.py", "app/new.py"]
    assert list(source_files(tmp_path, "app")) == ["app/a.py", "app/new.py"]


CHANGES = (
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


def test_every_image_has_a_folder_with_a_dockerfile() -> None:
    assert [
        name for name in image_names() if "ARG BASE" not in recipes.dockerfile(ROOT, name)
    ] == []


@pytest.mark.parametrize("name", OWN)
def test_of_a_check_stage_the_last_step_alone_is_always_run(name: str) -> None:
    text = recipes.dockerfile(ROOT, name).replace("\\\n", " ")
    stage = re.split(r"^FROM .* AS check$", text, flags=re.MULTILINE)[1].split("\nFROM ")[0]
    instructions = [line for line in stage.splitlines() if line and not line.startswith("#")]
    assert instructions[-2] == "ARG CHECK_RUN"
    assert re.match(r"RUN .*\bmake lint test\b", instructions[-1])


@pytest.mark.parametrize("name", image_names())
def test_a_build_context_holds_what_its_dockerfile_copies(tmp_path: Path, name: str) -> None:
    binary = tmp_path / "binary"
    binary.write_text("")
    into = tmp_path / "context"
    into.mkdir()
    binaries = {name: binary} if name in build.BINARIES else {}
    assemble(into, {**context_files(ROOT, name), **binaries})
    instructions = recipes.dockerfile(ROOT, name).replace("\\\n", " ").splitlines()
    copied = [
        word
        for line in instructions
        if line.startswith("COPY ") and "--from" not in line
        for word in line.split()[1:-1]
        if not word.startswith("--")
    ]
    assert [
        word for word in copied if not (into / word).exists() and not list(into.glob(word))
    ] == []


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


def test_a_further_service_says_in_its_dockerfile_what_it_needs(tmp_path: Path) -> None:
    sixth = tmp_path / "app/sixth"
    (tmp_path / "app/pycore/src").mkdir(parents=True)
    (tmp_path / "app/pycore/src/common.py").write_text("")
    sixth.mkdir()
    text = "ARG BASE\nARG FRONTEND\nARG CHECK_RUN\nFROM ${BASE} AS build\n"
    (sixth / "Dockerfile").write_text(text)
    assert recipes.built_on(tmp_path, "sixth") == ("frontend",)
    assert list(context_files(tmp_path, "sixth")) == ["Dockerfile"]
    assert not recipes.has_stage(tmp_path, "sixth", "check")
    text += "COPY --chown=0:0 pycore /src/pycore\nFROM build as check\nRUN make test\n"
    (sixth / "Dockerfile").write_text(text)
    assert list(context_files(tmp_path, "sixth")) == ["Dockerfile", "pycore/src/common.py"]
    assert recipes.has_stage(tmp_path, "sixth", "check")


def test_the_same_files_make_the_same_context(tmp_path: Path) -> None:
    source = tmp_path / "script"
    source.write_text("#!/bin/sh\n")
    found = []
    for number, mask in enumerate((0o022, 0o077)):
        source.chmod(0o755 if mask == 0o022 else 0o700)
        into = tmp_path / str(number)
        into.mkdir()
        before = os.umask(mask)
        try:
            assemble(into, {"usr/bin/script": source}, {"etc/name": "shop\n"})
        finally:
            os.umask(before)
        found.append(
            {
                str(path.relative_to(into)): (
                    stat.S_IMODE(path.stat().st_mode),
                    path.stat().st_mtime,
                )
                for path in into.rglob("*")
            }
        )
    assert found[0] == found[1]
    assert found[0]["usr/bin/script"] == (0o755, 0.0)
    assert found[0]["etc/name"] == (0o644, 0.0)
    assert found[0]["usr"] == (0o755, 0.0)


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


def test_a_disk_with_a_part_missing_is_no_disk(tmp_path: Path) -> None:
    record = {"virtual_bytes": 1, "shipped_bytes": 1, "unpacked_bytes": 1, "build_s": 1.0}
    (tmp_path / "guest-monolith-0.json").write_text(json.dumps(record))
    for name in ("guest-monolith-0.qcow2", "vmlinuz-monolith-0", "initrd-monolith-0"):
        (tmp_path / name).write_text("")
    assert read_disk(tmp_path, "monolith", "0") is not None
    assert read_disk(tmp_path, "microservices", "0") is None
    (tmp_path / "initrd-monolith-0").unlink()
    assert read_disk(tmp_path, "monolith", "0") is None


def test_package_lists_may_have_comments() -> None:
    assert package_names("# head\nsystemd\n\nudev # why\n") == ["systemd", "udev"]


def layer(*files: str) -> bytes:
    """Return a compressed layer with files of 1000 bytes, a directory and a link."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name in files:
            member = tarfile.TarInfo(name)
            member.size = 1000
            archive.addfile(member, io.BytesIO(b"x" * 1000))
        for name, kind in (("etc", tarfile.DIRTYPE), ("etc/link", tarfile.SYMTYPE)):
            member = tarfile.TarInfo(name)
            member.type = kind
            member.linkname = files[0]
            archive.addfile(member)
    return out.getvalue()


LAYERS = {"sha256:base": layer("a", "b"), "sha256:own": layer("c"), "sha256:cut": layer("d")[:40]}
MANIFEST = json.dumps(
    {
        "config": {"digest": "sha256:config", "size": 10},
        "layers": [
            {"digest": "sha256:base", "size": 100},
            {"digest": "sha256:own", "size": 1000},
        ],
    }
).encode()
DIGEST = f"sha256:{hashlib.sha256(MANIFEST).hexdigest()}"


class _Registry(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        place = self.path.removeprefix("/v2/triptych/gateway/")
        answers = {f"manifests/{which}": MANIFEST for which in ("0123", DIGEST)}
        answers |= {f"blobs/{digest}": content for digest, content in LAYERS.items()}
        self.send_response(200 if place in answers else 404)
        self.end_headers()
        self.wfile.write(answers.get(place, b"{}"))

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def a_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Registry)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(registry, "REGISTRY_PORT", server.server_port)
    yield
    server.shutdown()
    server.server_close()


@pytest.mark.usefixtures("a_registry")
def test_what_ships_and_what_it_unpacks_to_is_as_the_registry_has_it() -> None:
    found = registry.manifest("gateway", "0123")
    assert found is not None
    assert (found.digest, found.image_id) == (DIGEST, "sha256:config")
    assert found.shipped_bytes == 1110
    assert registry.unpacked_bytes("gateway", found.layers) == 3000
    for broken in ("sha256:cut", "sha256:gone"):
        with pytest.raises(StepError, match="layer of gateway"):
            registry.unpacked_bytes("gateway", (broken,))


@pytest.mark.usefixtures("a_registry")
def test_an_image_that_left_the_registry_is_built_again(tmp_path: Path) -> None:
    image = Image("ref", DIGEST, "sha256:config", 1, 2, 1, 0.5)
    record = tmp_path / "gateway-4567.json"
    assert read_image(tmp_path, "gateway", "4567") is None
    # Whoever has the name now: it is that very image that has to be there.
    record.write_text(json.dumps(asdict(image)))
    assert read_image(tmp_path, "gateway", "4567") == image
    record.write_text(json.dumps(asdict(replace(image, digest="sha256:gone"))))
    assert read_image(tmp_path, "gateway", "4567") is None
    record.write_text('{"ref": ')
    assert read_image(tmp_path, "gateway", "4567") is None


def test_the_base_is_what_was_pushed_as_the_base(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        registry, "manifest", lambda name, which: (name, which) == ("base", "d") or None
    )
    base = BaseImage("ref", "d", "mmdebstrap", ("sha256:base",), 5)
    (tmp_path / "base-0123.json").write_text(json.dumps(asdict(base)))
    assert read_base(tmp_path, "0123") == base
    assert read_base(tmp_path, "4567") is None


def test_a_registry_that_does_not_answer_has_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "REGISTRY_PORT", 1)
    assert registry.manifest("gateway", "0123") is None


def test_only_older_volumes_that_nothing_stands_on_are_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    head = " Name Path\n----\n"
    old, used, new = (
        "guest-aaaaaaaaaaaa.qcow2",
        "guest-x-bbbbbbbbbbbb.qcow2",
        "guest-x-cccccccccccc",
    )
    answers = {
        ("vol-list", pool.POOL): f"{head} {old} /p/{old}\n {used} /p/{used}\n {new} /p/{new}\n"
        " mine.qcow2 /p/mine.qcow2\n",
        ("pool-list", "--name"): f"{pool.POOL}\ntriptych-vm\nsomebody\n",
        ("vol-list", "triptych-vm"): f"{head} root.qcow2 /q/root.qcow2\n",
        ("vol-dumpxml", "--pool", "triptych-vm", "root.qcow2"): f"<path>/p/{used}</path>",
        ("list", "--all", "--name"): "",
    }
    monkeypatch.setattr(pool, "_virsh", lambda *words: answers[words])
    assert pool.unused({new}) == [old]


def test_the_graph_builds_what_others_are_built_on_first(tmp_path: Path) -> None:
    paths = Paths(root=ROOT, cache=tmp_path / "cache", run=tmp_path / "run")
    setup = ("debian-packages", "registry", "libvirtd", "stripe-mock", "kind", *keys.NODE_TOOLS)
    stubs = [Step(name, nothing) for name in setup]
    found = {step.name: step for step in check_graph([*stubs, *build.steps(paths)])}
    names = [name for name in found if name not in setup]
    assert names[:2] == ["buildah", "base-image"]
    assert names[-1] == "artefacts"
    assert set(found["artefacts"].needs) == {
        *(f"image-{name}" for name in image_names()),
        *(f"guest-{shape}" for shape in SHAPES),
        "image-node",
    }
    assert "image-frontend" in found["image-monolith"].needs
    assert names.index("image-frontend") == 2
    for shape in SHAPES:
        needs = found[f"guest-{shape}"].needs
        assert {f"image-{name}" for name in recipes.app_services(shape)} <= set(needs)
        # dockerd is for running: nothing is built with it.
        assert "dockerd" not in {need for step in found.values() for need in step.needs}
    assert all(step.heavy for name, step in found.items() if name.startswith(("image-", "guest-")))


async def nothing(context: StepContext) -> None:
    """Do nothing."""


def test_keys_are_twelve_hex_digits() -> None:
    for key in source_keys(ROOT).values():
        assert len(key) == 12
        assert int(key, 16) >= 0
    assert image_key(ROOT, "gateway") != image_key(ROOT, "valkey")
    assert keys.stripe_mock_version(ROOT).startswith("v0.")
