"""Where else images and disks run, and that nothing is left of having tried."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import libvirt
import pytest
from lxml import etree

from probe import models, texts
from probe.errors import ProbeError
from probe.experiments.portability import Portability
from probe.models import engines
from probe.models.base import Environment
from probe.models.engines import Containerd, Place, Podman, try_engine
from probe.models.machines import VARIANTS, OtherMachines, Variant, adapt
from probe.records import Sample
from shop import catalogue
from tests.unit.probe_fakes import FakeClock, make_context
from tests.unit.test_probe_models import target

# The experiment.


def works() -> tuple[bool, str]:
    return True, "ready"


def fails() -> tuple[bool, str]:
    return False, "no disk"


def cannot() -> tuple[bool, str]:
    raise ProbeError("podman is not on this machine")


class Inspector:
    def __init__(self, *environments: Environment, broken: str = "") -> None:
        self.found = environments
        self.broken = broken

    @contextmanager
    def environments(self) -> Iterator[tuple[Environment, ...]]:
        yield self.found
        if self.broken:
            raise ProbeError(self.broken)

    def close(self) -> None:
        pass


def measure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inspector: Inspector) -> list[Sample]:
    monkeypatch.setattr(models, "inspector", lambda _target: inspector)
    return Portability().measure(make_context(tmp_path, target=target("docker", {})))


def test_environments_are_told_apart_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    *single, total = measure(
        tmp_path,
        monkeypatch,
        Inspector(
            Environment("dockerd", "", works),
            Environment("containerd", "engine", fails),
            Environment("podman", "engine", cannot),
        ),
    )
    assert [(s.value, s.outcome, s.evidence) for s in single] == [
        (1, "ok", "ready"),
        (0, "ok", "no disk"),
        (None, "not_measured", "podman is not on this machine"),
    ]
    assert single[0].labels == {"environment": "dockerd", "varies": "none"}
    assert (total.metric, total.value) == ("environments_failed", 1)
    assert total.evidence == ("works in: dockerd. Does not in: containerd. Not tried: podman")


def test_one_environment_says_nothing_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inspector = Inspector(Environment("dockerd", "", works), Environment("podman", "", cannot))
    assert measure(tmp_path, monkeypatch, inspector)[-1].outcome == "not_measured"


def test_what_was_seen_stays_seen_when_the_stack_does_not_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inspector = Inspector(Environment("dockerd", "", works), broken="it does not start again")
    first, last = measure(tmp_path, monkeypatch, inspector)
    assert first.value == 1
    assert (last.outcome, last.evidence) == ("failed", "it does not start again")


def test_once_is_enough(tmp_path: Path) -> None:
    assert Portability().applies(make_context(tmp_path, round=1)) == ""
    assert "once is enough" in Portability().applies(make_context(tmp_path, round=2))
    assert Portability().applies(make_context(tmp_path, state="cold"))


def test_the_report_has_every_environment() -> None:
    told = {
        labels["environment"]
        for _, rows in texts.ROWS
        for experiment, metric, labels, _ in rows
        if (experiment, metric) == ("portability", "environment_works")
    }
    assert told == {Containerd.name, Podman.name, *(variant.name for variant in VARIANTS)}


# Engines.


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Return a service in whose place something answers while the test lasts."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == catalogue.READY_PATH else 404)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    service = next(s for s in catalogue.services("monolith") if s.name == "monolith")
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / service.secrets[0].name).write_text("open sesame")
    with socket.create_server(("127.0.0.2", 0)) as free:
        port = free.getsockname()[1]
    server = http.server.HTTPServer(("127.0.0.2", port), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Place(
        service=replace(service, port=port),
        image="127.0.0.1:5000/triptych/monolith:1",
        pid=4711,
        address="127.0.0.2",
        resolv_conf=tmp_path / "resolv.conf",
        secrets=secrets,
    )
    server.shutdown()
    server.server_close()


class Engine:
    name = "engine"

    def __init__(self, refusal: str = "") -> None:
        self.refusal = refusal
        self.done: list[str] = []

    def version(self) -> str:
        return "engine 1"

    def fetch(self, image: str) -> None:
        self.done.append(f"fetch {image.rpartition('/')[2]}")

    def start(self, place: Place) -> None:
        self.done.append(f"start {place.service.name}")
        if self.refusal:
            raise ProbeError(self.refusal)

    def said(self) -> str:
        return "one\ntwo\n"

    def stop(self) -> None:
        self.done.append("stop")

    def close(self) -> None:
        self.done.append("close")


ROUND = ["stop", "fetch monolith:1", "start monolith", "stop", "close"]


def test_a_service_that_says_it_is_ready_works(place: Place) -> None:
    engine = Engine()
    assert try_engine(engine, [place]) == (True, "engine 1: monolith ready")
    assert engine.done == ROUND


def test_a_service_that_is_not_started_does_not_work(place: Place) -> None:
    engine = Engine("no such runtime")
    assert try_engine(engine, [place]) == (
        False,
        "engine 1: monolith: no such runtime; one / two",
    )
    assert engine.done == ROUND


def test_a_service_that_does_not_get_ready_does_not_work(place: Place) -> None:
    clock = FakeClock()
    health = replace(place.service.health, ready_path="/elsewhere")
    other = replace(place, service=replace(place.service, health=health))
    engine = Engine()
    found, how = try_engine(engine, [other], ready_s=2, clock=clock, sleep=clock.sleep)
    assert not found
    assert "not ready after 2 s: status 404; one / two" in how
    assert engine.done == ROUND


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put scripts in the place of ctr and podman that write down how they are called."""
    folder, log = tmp_path / "bin", tmp_path / "calls"
    folder.mkdir()
    for name in ("ctr", "podman"):
        script = folder / name
        script.write_text(f'#!/bin/sh\necho "{name} $*" >>"{log}"\necho "  Version:  1.2.3"\n')
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setattr(engines.os, "geteuid", lambda: 0)
    return log


def test_engines_run_a_service_as_the_stack_does_and_show_no_secret(
    place: Place, tools: Path, tmp_path: Path
) -> None:
    listening = tmp_path / "containerd.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(listening))
        assert try_engine(Containerd([listening]), [place])[0]
    assert try_engine(Podman(tmp_path / "podman"), [place])[0]
    calls = tools.read_text()
    assert "open sesame" not in calls
    for line in calls.splitlines():
        name, _, words = line.partition(" ")
        if " run --detach" not in words:
            continue
        assert (
            f"network:/proc/{place.pid}/ns/net" in words or f"ns:/proc/{place.pid}/ns/net" in words
        )
        assert "--read-only" in words
        assert str(place.secrets) in words
        assert words.endswith(" ".join(place.service.command))
        assert "CAP_SETUID" in words if name == "ctr" else "--cap-drop all" in words
    assert calls.count(" run --detach") == 2
    assert not (tmp_path / "podman").exists()


def test_an_engine_that_is_not_there_is_named_with_its_package(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ProbeError, match="Debian's package podman has it"):
        try_engine(Podman(tmp_path / "podman"), [place])
    with pytest.raises(ProbeError, match="ctr is not on this machine"):
        try_engine(Containerd(), [place])


def test_a_containerd_that_does_not_listen_is_said(tools: Path, tmp_path: Path) -> None:
    with pytest.raises(ProbeError, match="no containerd listens at"):
        Containerd([tmp_path / "none.sock"]).version()


# Machines.

DOMAIN = """<domain type='qemu'><name>triptych-s</name><uuid>1</uuid>
<os><type arch='x86_64' machine='pc-i440fx-7.2'>hvm</type><kernel>/k</kernel></os><devices>
<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/p/root.qcow2'/>
<target dev='vda' bus='virtio'/><address type='pci' slot='0x04'/></disk>
<disk type='volume' device='disk'><driver name='qemu' type='raw'/><source pool='p' volume='data'/>
<target dev='vdb' bus='virtio'/></disk>
<disk type='file' device='cdrom'><source file='/p/seed.iso'/><target dev='hda' bus='ide'/>
<readonly/></disk><controller type='ide' index='0'/>
<interface type='network'><mac address='52:54:00:00:00:01'/><source network='n'/>
<model type='virtio'/></interface>
<serial type='file'><source path='/log/own.log' append='off'/></serial></devices></domain>"""


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_a_variant_differs_in_what_it_says_alone(variant: Variant) -> None:
    layers = {"vda": "/layers/a", "vdb": "/layers/b"}
    found: Any = etree.fromstring(adapt(DOMAIN, variant, "other", layers, "/log/x").encode())
    disks = found.findall("devices/disk[@device='disk']")
    assert [disk.find("source").get("file") for disk in disks] == ["/layers/a", "/layers/b"]
    assert {disk.find("driver").get("type") for disk in disks} == {"qcow2"}
    assert {disk.find("target").get("bus") for disk in disks} == {variant.bus}
    names = [target.get("dev") for target in found.iterfind("devices/disk/target")]
    assert len(set(names)) == 3
    # The seed stays what it is, on a bus that the machine type has.
    seed = found.find("devices/disk[@device='cdrom']")
    assert seed.find("source").get("file") == "/p/seed.iso"
    assert seed.find("target").get("bus") == ("sata" if variant.machine == "q35" else "ide")
    assert found.find("os/type").get("machine") == variant.machine
    assert found.find("os/kernel").text == "/k"
    assert found.find("devices/interface/mac").get("address") == "52:54:00:00:00:01"
    assert found.find("devices/interface/model").get("type") == variant.card
    assert found.find("devices/serial/source").get("path") == "/log/x"
    assert found.find("uuid") is None


class Volume:
    def __init__(self, pool: Pool, name: str) -> None:
        self.pool, self.name = pool, name

    def path(self) -> str:
        return f"/p/{self.name}"

    def info(self) -> list[int]:
        return [0, 1000, 10]

    def delete(self) -> None:
        self.pool.layers.remove(self.name)

    def storagePoolLookupByVolume(self) -> Pool:
        return self.pool


class Pool:
    def __init__(self) -> None:
        self.layers: list[str] = []
        self.made: list[str] = []

    def storageVolLookupByName(self, name: str) -> Volume:
        return Volume(self, name)

    def createXML(self, xml: str) -> Volume:
        layer: Any = etree.fromstring(xml)
        self.made.append(layer.find("backingStore/path").text)
        self.layers.append(layer.find("name").text)
        return Volume(self, self.layers[-1])


class Domain:
    def __init__(self) -> None:
        self.states: list[str] = []
        self.active = True

    def XMLDesc(self, _flags: int) -> str:
        return DOMAIN

    def destroy(self) -> None:
        self.states.append("off")

    def create(self) -> None:
        self.states.append("on")

    def isActive(self) -> bool:
        return self.active


class Refused(libvirt.libvirtError):
    """libvirt's own would tell of the last thing that went wrong in this process."""

    def __init__(self) -> None:
        Exception.__init__(self, "no such device")
        self.err = None


class Connection:
    def __init__(self, refuses: bool = False) -> None:
        self.pool = Pool()
        self.refuses = refuses
        self.others: list[Domain] = []

    def storagePoolLookupByName(self, _name: str) -> Pool:
        return self.pool

    def storageVolLookupByPath(self, path: str) -> Volume:
        return Volume(self.pool, Path(path).name)

    def createXML(self, _xml: str) -> Domain:
        if self.refuses:
            raise Refused
        self.others.append(Domain())
        return self.others[-1]


def machines(
    connection: Connection,
    domain: Domain,
    console: Path,
    *answers: str,
    accelerator: str = "tcg",
) -> OtherMachines:
    """Return machines whose shop answers like this, one after the other.

    After "console: " and "ready: " comes what is on their console; after the first the shop never
    answers.
    """
    clock = FakeClock()
    left = iter(answers)

    def ready(*_where: Any, sleep: Any, **_how: Any) -> str:
        answer = next(left, "")
        if answer.startswith(("console: ", "ready: ")):
            console.with_name("triptych-s-portability-console.log").write_text(answer)
            for _ in range(200):
                sleep(1)
        return "" if answer.startswith("ready: ") else answer

    found = replace(target("vm", {"console_log": str(console)}), accelerator=accelerator)
    return OtherMachines(connection, domain, found, ready=ready, sleep=clock.sleep, clock=clock)


def test_disks_are_tried_in_layers_and_the_stack_runs_again(tmp_path: Path) -> None:
    connection, domain = Connection(), Domain()
    with machines(connection, domain, tmp_path / "console.log").environments() as found:
        own, *others = found
        assert own.trial()[0]
        assert domain.states == []
        assert [other.trial()[0] for other in others[:2]] == [True, True]
        assert domain.states == ["off"]
    assert domain.states == ["off", "on"]
    assert [other.states for other in connection.others] == [["off"], ["off"]]
    assert connection.pool.made == ["/p/root.qcow2", "/p/data"] * 2
    assert connection.pool.layers == []


PANIC = """[   43.1] Kernel panic - not syncing: VFS
[   43.2] ---[ end Kernel panic - not syncing: VFS ]---
"""


@pytest.mark.parametrize(
    ("console", "evidence"),
    [
        ("console: ALERT!  LABEL=x does not exist.\n", "ALERT!  LABEL=x does not exist."),
        (f"console: {PANIC * 3}", "panicked 3 times: Kernel panic - not syncing: VFS"),
        ("console: TRIPTYCH workload-started\n", "no network leads there"),
        ("no answer", "not ready after 420 s: no answer"),
    ],
)
def test_a_machine_that_gives_up_says_why(tmp_path: Path, console: str, evidence: str) -> None:
    connection, domain = Connection(), Domain()
    tried = machines(connection, domain, tmp_path / "console.log", console)
    with tried.environments() as found:
        worked, how = found[1].trial()
    assert not worked
    assert evidence in how
    assert list(tmp_path.iterdir()) == []
    assert connection.pool.layers == []
    assert domain.states == ["off", "on"]


def test_an_emulated_machine_may_start_again_after_a_panic(tmp_path: Path) -> None:
    # The first start came as far as the shop: it doesn't count for the one after it.
    console = f"TRIPTYCH workload-started\n{PANIC}{PANIC}"
    tried = machines(Connection(), Domain(), tmp_path / "console.log", f"ready: {console}")
    with tried.environments() as found:
        worked, how = found[1].trial()
    assert worked
    assert how.endswith("s later, its kernel panicked 2 times: Kernel panic - not syncing: VFS")


def test_a_panic_with_a_processors_help_is_the_machines(tmp_path: Path) -> None:
    tried = machines(
        Connection(), Domain(), tmp_path / "console.log", f"ready: {PANIC}", accelerator="kvm"
    )
    with tried.environments() as found:
        worked, how = found[1].trial()
    assert not worked
    assert how == "its kernel panicked once: Kernel panic - not syncing: VFS"


def test_a_device_that_qemu_does_not_have_is_not_the_disks_fault(tmp_path: Path) -> None:
    connection, domain = Connection(refuses=True), Domain()
    with (
        machines(connection, domain, tmp_path / "console.log").environments() as found,
        pytest.raises(ProbeError, match="no such device"),
    ):
        found[1].trial()
    assert connection.pool.layers == []
    assert domain.states == ["off", "on"]


def test_a_stack_that_does_not_come_back_is_said(tmp_path: Path) -> None:
    tried = machines(Connection(), Domain(), tmp_path / "console.log", "", "refused")
    with pytest.raises(ProbeError, match="not ready again: refused"), tried.environments() as found:
        found[1].trial()


def test_nothing_is_turned_off_where_nothing_is_tried(tmp_path: Path) -> None:
    domain = Domain()
    with machines(Connection(), domain, tmp_path / "console.log").environments():
        pass
    assert domain.states == []
