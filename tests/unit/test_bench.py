"""The bench's own judgement: figures, the compose file, the domain, what counts as from nothing."""

import base64
import gzip
import ipaddress
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from bench import (
    clusters,
    commands,
    compose_side,
    generator,
    kubectl_side,
    load,
    material,
    page,
    run,
    services,
    sizes,
    virsh_side,
)
from bench.figures import bounded, compared, exit_code, kept, not_tested, write
from probe.errors import ProbeError, UsageProblem
from probe.vegeta import Request
from shop import catalogue
from toolchain.paths import Paths

DOMAIN = """<domain type='qemu'><name>triptych-bench-vm</name><uuid>u</uuid><devices>
<disk type='file' device='disk'><source file='/p/triptych-bench-vm-root-abc.qcow2'/></disk>
<disk type='volume' device='disk'><source pool='p' volume='triptych-bench-vm-data.qcow2'/></disk>
<disk type='file' device='cdrom'><source file='/p/triptych-bench-vm-cloud-init.iso'/></disk>
<interface type='network'><mac address='52:54:00:aa:aa:aa'/><source network='triptych-bench-vm'/>
</interface><serial type='file'><source path='/c/triptych-bench-vm-console.log'/></serial>
</devices></domain>"""


def test_a_ratio_of_medians_is_bounded() -> None:
    figure = compared("x", [3.0, 30.0, 2.9], [2.0, 2.1, 1.0], limit=1.5)
    assert (figure.ours, figure.theirs, figure.ratio, figure.holds) == (3.0, 2.0, 1.5, True)
    assert figure.spread == {"ours": [2.9, 30.0], "theirs": [1.0, 2.1]}
    assert compared("x", [3.1], [2.0], limit=1.5).holds is False


def test_only_a_miss_or_a_breakdown_fails_the_run() -> None:
    good = bounded("a", [1.0], unit="s", limit=1.0)
    absent = not_tested("b", "nothing here", unit="s", limit=1.0)
    assert good.holds is True
    assert absent.holds is None
    assert absent.note == "not tested: nothing here"
    assert exit_code([good, absent]) == 0
    assert exit_code([good, bounded("a", [1.1], unit="s", limit=1.0)]) == 1
    assert exit_code([not_tested("b", "broke", unit="s", limit=1.0, failed=True)]) == 1


def test_the_file_has_the_promised_keys(tmp_path: Path) -> None:
    file = tmp_path / "results" / "bench.json"
    write(file, [compared("x", [1.0], [1.0], limit=1.5, note="why")])
    (entry,) = json.loads(file.read_text())
    wanted = {"name", "ours", "theirs", "ratio", "limit", "bound", "holds", "spread", "unit"}
    assert set(entry) == {*wanted, "note"}
    assert entry["bound"] == "most"


def test_a_share_of_throughput_is_to_be_kept() -> None:
    figure = kept("x", [70.0, 71.0, 69.0], [100.0, 90.0, 110.0], limit=0.7)
    assert (figure.ratio, figure.holds) == (0.7, True)
    assert figure.as_json()["bound"] == "least"
    assert kept("x", [69.0], [100.0], limit=0.7).holds is False


def test_names_and_their_beginnings_choose() -> None:
    assert run.chosen(()) == frozenset(run.NAMES)
    assert run.chosen(("docker", "unit-tests")) == {
        "docker-first-transaction",
        "docker-preview",
        "unit-tests",
    }
    with pytest.raises(UsageProblem, match=r"unknown figure 'speed'.*docker-first-transaction"):
        run.chosen(("speed",))


def test_each_side_begins_every_other_round() -> None:
    assert [run.order(number, "ours", "theirs")[0] for number in (0, 1, 2)] == [
        "ours",
        "theirs",
        "ours",
    ]


def test_the_compose_file_has_the_stacks_hardening_and_no_secret() -> None:
    shop = catalogue.services("monolith")
    images = {s.image: f"registry/{s.image}:1" for s in shop}
    file = compose_side.render(shop, images, port=4711, releases={"monolith": "r"})
    assert set(file["services"]) == {s.name for s in shop}
    for service in shop:
        entry = file["services"][service.name]
        assert entry["read_only"] is True
        assert entry["cap_drop"] == ["ALL"]
        assert entry["user"] == f"{service.uid}:{service.uid}"
        assert entry["mem_limit"] == entry["memswap_limit"] == f"{service.limits.memory_mib}m"
        assert entry["cpus"] == service.limits.cpus
        assert {s["source"] for s in entry.get("secrets", [])} == {s.name for s in service.secrets}
        assert ("ports" in entry) == (service.name == "gateway")
    assert file["services"]["gateway"]["ports"] == ["127.0.0.1:4711:8443"]
    assert set(file["secrets"]) == set(material.make())
    text = json.dumps(file)
    assert not re.search(r"(?<!\$)\$(\$\$)*(?!\$)", text), "compose would fill in a variable"
    assert not any(content in text for content in material.make().values())


def test_only_what_is_the_shops_own_is_told_its_release() -> None:
    shop = catalogue.services("microservices")
    images = {s.image: f"registry/{s.image}:1" for s in shop}
    releases = {s.image: f"r-{s.image}" for s in shop}
    file = compose_side.render(shop, images, port=4711, releases=releases, project="p")
    told = {n: e["environment"].get("RELEASE") for n, e in file["services"].items()}
    own = set(images) - set(catalogue.SURROUNDINGS)
    assert told == {n: f"r-{n}" if n in own else None for n in images}
    assert {e["container_name"] for e in file["services"].values()} == {f"p-{n}" for n in images}


def test_a_bare_handler_has_its_services_settings_and_another_image() -> None:
    images = {s.image: f"registry/{s.image}:1" for s in catalogue.services("microservices")}
    file = services.compose_file(images, {"cart": "registry/bench-cart:2"}, {}, 4711)
    ours, theirs = file["services"]["cart"], file["services"]["cart-bare"]
    assert theirs["image"] == "registry/bench-cart:2"
    assert theirs["container_name"].startswith("triptych-bench-")
    assert "command" not in theirs
    for key in ("environment", "user", "cpus", "mem_limit", "read_only", "cap_drop"):
        assert theirs[key] == ours[key], key
    assert "auth-bare" not in file["services"]


def test_every_service_of_the_shops_own_has_a_hot_request() -> None:
    own = {s.name for s in catalogue.services(services.SHAPE)} - set(catalogue.SURROUNDINGS)
    assert set(services.HOT) == own
    assert set(services.FIGURES) <= set(run.NAMES)


def test_a_request_as_vegeta_reads_it() -> None:
    request = Request("POST", "/x", {"Authorization": "Bearer t"}, {"a": 1})
    entry = json.loads(request.line("http://10.0.0.2:8001"))
    assert entry["url"] == "http://10.0.0.2:8001/x"
    assert json.loads(base64.b64decode(entry["body"])) == {"a": 1}
    assert entry["header"] == {
        "Authorization": ["Bearer t"],
        "Content-Type": ["application/json"],
    }


def test_one_bad_answer_is_no_throughput() -> None:
    request = Request("GET", "/x")
    good = {"success": 1.0, "throughput": 12.5, "status_codes": {"200": 50}, "errors": []}
    assert load.judged(good, request) == 12.5
    bad = {
        "success": 0.98,
        "throughput": 12.5,
        "status_codes": {"200": 49, "503": 1},
        "errors": ["503 Service Unavailable"],
    }
    with pytest.raises(ProbeError, match="GET /x: answers 200 49x, 503 1x; 503 Service"):
        load.judged(bad, request)


PAGE = """<!doctype html><link rel="icon" href="/favicon.svg"><link rel=stylesheet href="/a.css">
<link rel="modulepreload" href="/assets/b.js"><link rel="canonical" href="/elsewhere">
<script type="module" src="/assets/a.js"></script><img src="data:image/gif;base64,AA">"""
FILES = {
    "/": ("text/html", PAGE),
    "/favicon.svg": ("image/svg+xml", "<svg/>"),
    "/a.css": ("text/css", "@font-face{src:url(/f.woff2)}.x{background:url(data:image/png,A)}"),
    "/f.woff2": ("font/woff2", "f" * 300),
    "/assets/a.js": (
        "text/javascript",
        'import{a as b}from"./b.js";import"./c.js";const l=()=>import("./later.js");'
        'var s="import x from y";',
    ),
    "/assets/b.js": ("text/javascript", 'export{d}from"./d.js";export const e=1;'),
    "/assets/c.js": ("text/javascript", "c()"),
    "/assets/d.js": ("text/javascript", "d();" * 100),
}


def test_a_first_load_is_the_page_with_its_module_graph() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        kind, text = FILES[request.url.path]
        body = gzip.compress(text.encode())
        headers = {"content-type": kind, "content-encoding": "gzip"}
        return httpx.Response(200, headers=headers, stream=httpx.ByteStream(body))

    loaded = page.first_load("https://shop.test", transport=httpx.MockTransport(answer))
    assert set(loaded.bodies) == set(FILES)
    assert loaded.size_bytes == sum(len(gzip.compress(t.encode())) for _, t in FILES.values())


def test_a_part_that_is_missing_is_named() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/":
            return httpx.Response(200, html='<script src="/gone.js"></script>')
        return httpx.Response(404)

    with pytest.raises(ProbeError, match=r"/gone\.js: status 404"):
        page.first_load("https://shop.test", transport=httpx.MockTransport(answer))


def test_the_domain_is_the_same_but_for_names_and_places() -> None:
    files = virsh_side.Files.under(Path("/own"))
    text = virsh_side.adapt(DOMAIN, files)
    for path in (files.root, files.data, files.seed):
        assert text.count(f'<source file="{path}"/>') == 1
    assert "triptych-bench-vm" not in text
    assert "uuid" not in text
    assert 'type="volume"' not in text
    assert virsh_side.MAC in text
    assert f'<source network="{virsh_side.NAME}"/>' in text
    assert virsh_side.seed_of(DOMAIN) == Path("/p/triptych-bench-vm-cloud-init.iso")


def test_the_machines_address_is_reserved() -> None:
    subnet = ipaddress.IPv4Network("10.91.7.0/24")
    text = virsh_side.network_xml(subnet, "10.91.7.10")
    assert f"mac='{virsh_side.MAC}' name='shop' ip='10.91.7.10'" in text
    assert "address='10.91.7.1' netmask='255.255.255.0'" in text


def test_a_start_is_from_nothing_only_if_everything_was_installed(tmp_path: Path) -> None:
    paths = Paths(tmp_path, tmp_path / "cache", tmp_path / "run")
    assert sizes.first_row(paths, tmp_path / "results").holds is None
    paths.logs.mkdir(parents=True)
    durations = paths.logs / "durations.json"
    durations.write_text(json.dumps({"pulumi": 300.0}))
    figure = sizes.first_row(paths, tmp_path / "results")
    assert figure.holds is None
    assert "debian-packages was there already" in figure.note
    durations.write_text(json.dumps({"pulumi": 1.0, "debian-packages": 1.0, "guest-disk": 1.0}))
    assert sizes.first_row(paths, tmp_path / "results").holds is None


def test_a_failed_command_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(commands.CommandFailed, match=r"^sh: no such thing$"):
        commands.run(["sh", "-c", "echo one; echo no such thing; exit 3"], cwd=tmp_path)
    with pytest.raises(commands.CommandFailed, match="cannot run /nonexistent"):
        commands.run(["/nonexistent"], cwd=tmp_path)


def test_a_command_that_hangs_is_ended(tmp_path: Path) -> None:
    with pytest.raises(commands.CommandFailed, match="did not end within"):
        commands.run(["sleep", "60"], cwd=tmp_path, timeout_s=0.2)


def test_a_stacks_objects_are_what_kubectl_applies() -> None:
    secret = {"plaintext": json.dumps("c2VjcmV0")}
    inputs = [
        (
            "kubernetes:core/v1:Secret",
            {"kind": "Secret", "metadata": {"name": "s"}, "data": secret},
        ),
        ("kubernetes:core/v1:Namespace", {"kind": "Namespace", "metadata": {"name": "triptych-x"}}),
        ("pulumi:providers:kubernetes", {"kubeconfig": "k"}),
        ("docker:index/network:Network", {"name": "n"}),
    ]
    state = {
        "deployment": {
            "resources": [{"type": t, "inputs": {**i, "__defaults": []}} for t, i in inputs]
        }
    }
    objects = kubectl_side.manifests(state, "triptych-x")
    assert [o["kind"] for o in objects] == ["Namespace", "Secret"]
    assert objects[1] == {"kind": "Secret", "metadata": {"name": "s"}, "data": "c2VjcmV0"}
    with pytest.raises(ProbeError, match="no namespace triptych-y"):
        kubectl_side.manifests(state, "triptych-y")


def test_only_the_shops_own_images_are_loaded() -> None:
    def pod(image: str) -> dict[str, Any]:
        return {"spec": {"template": {"spec": {"containers": [{"image": image}]}}}}

    artefacts = {"images": {"auth": {"ref": "r:1/auth:2"}}}
    objects = [pod("r:1/auth:2"), pod("local/coredns:1"), {"kind": "Service"}]
    assert clusters.images_of(objects, artefacts) == ["r:1/auth:2"]


def test_lateness_is_told_from_when_requests_should_have_left() -> None:
    punctual = [1.8e9 + n / 100 for n in range(1000)]
    assert generator.lateness(punctual, 100) == pytest.approx(0, abs=1e-5)
    # Two in a hundred leave 5 ms late: the 99th percentile shows it, whoever the first one was.
    late = [at + (0.005 if n % 50 == 0 else 0) for n, at in enumerate(punctual)]
    assert generator.lateness(late, 100) == pytest.approx(0.005, abs=1e-5)
