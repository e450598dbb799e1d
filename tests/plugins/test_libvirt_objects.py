"""Single resource types on the real libvirtd: life cycle, mistakes, killed and cut-off work."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import libvirt
import pytest

from plugins.bridge import Created, UserError
from plugins.libvirt.cloud_init_disk import CloudInitDisk
from plugins.libvirt.connection import Connection
from plugins.libvirt.domain import Domain
from plugins.libvirt.network import Network
from plugins.libvirt.pool import Pool
from plugins.libvirt.provider import LibvirtProvider
from plugins.libvirt.volume import Volume
from tests.plugins.libvirt.harness import (
    URI,
    Said,
    cleaned_up,
    names,
    operation,
    random_subnet,
    remove_all,
)

pytestmark = pytest.mark.libvirt

GRAPHICS_LESS = """
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
  <xsl:template match="@*|node()">
    <xsl:copy><xsl:apply-templates select="@*|node()"/></xsl:copy>
  </xsl:template>
  <xsl:template match="devices/graphics"/>
  <xsl:template match="devices/console">
    <serial type="file"><source path="{log}"/><target port="0"/></serial>
  </xsl:template>
</xsl:stylesheet>
"""


class Bench:
    """One resource of each type on a provider, under a prefix of its own."""

    def __init__(self, prefix: str, home: Path) -> None:
        self.prefix = prefix
        self.said = Said()
        provider = LibvirtProvider()
        provider.configure({"uri": URI})
        self.pool = Pool(provider)
        self.volume = Volume(provider)
        self.disk = CloudInitDisk(provider)
        self.network = Network(provider)
        self.domain = Domain(provider)
        self.raw = libvirt.open(URI)
        self.op = partial(operation, home, said=self.said)

    def create(self, resource: Any, **inputs: Any) -> Created:
        inputs = {"name": f"{self.prefix}-{type(resource).__name__.lower()}", **inputs}
        created = resource.create(self.op(resource.token, inputs["name"]), inputs)
        assert created.state["id"] == created.id
        return created  # type: ignore[no-any-return]

    def read(self, resource: Any, created: Created) -> dict[str, Any] | None:
        op = self.op(resource.token, "r")
        return resource.read(op, created.id, created.state)  # type: ignore[no-any-return]

    def update(self, resource: Any, created: Created, **inputs: Any) -> dict[str, Any]:
        op = self.op(resource.token, "r")
        given = {"name": created.state["name"], **inputs}
        return resource.update(op, created.id, created.state, given)  # type: ignore[no-any-return]

    def delete(self, resource: Any, created: Created) -> None:
        resource.delete(self.op(resource.token, "r"), created.id, created.state)

    def make_pool(self, name: str = "pool") -> Created:
        name = f"{self.prefix}-{name}"
        target = {"path": f"/var/lib/libvirt/{name}"}
        return self.create(self.pool, name=name, type="dir", target=target)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with cleaned_up() as prefix:
        yield Bench(prefix, tmp_path / "home")


def test_pool_life_cycle(bench: Bench) -> None:
    created = bench.make_pool()
    assert created.state["target"] == {"path": f"/var/lib/libvirt/{bench.prefix}-pool"}
    assert created.state["path"] is None
    assert bench.pool.read(bench.op(bench.pool.token, "r"), created.id, {}) is not None
    with pytest.raises(UserError, match="already exists and is not part of this stack"):
        bench.make_pool()

    foreign = Path(created.state["target"]["path"], "somebodys-file")
    foreign.write_text("keep me")
    with pytest.raises(UserError, match=r"still holds volumes .*somebodys-file"):
        bench.delete(bench.pool, created)
    assert foreign.read_text() == "keep me"
    foreign.unlink()
    bench.delete(bench.pool, created)
    bench.delete(bench.pool, created)
    assert bench.read(bench.pool, created) is None
    assert not foreign.parent.exists()


def test_pool_in_a_forbidden_place_leaves_no_definition(bench: Bench) -> None:
    with pytest.raises(UserError, match="can't create storage pool") as caught:
        bench.create(bench.pool, type="dir", target={"path": "/proc/nowhere/pool"})
    assert "\n" not in str(caught.value)
    assert names(bench.prefix) == []


def test_volume_upload_gives_the_same_bytes(bench: Bench, tmp_path: Path) -> None:
    pool = bench.make_pool().state["name"]
    raw, qcow2 = tmp_path / "a.raw", tmp_path / "a.qcow2"
    with raw.open("wb") as stream:  # data, holes, and a hole at the end
        stream.truncate(64 << 20)
        for start in (0, 7_000_001, 30 << 20):
            stream.seek(start)
            stream.write(random.randbytes(1_500_000))
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", str(raw), str(qcow2)], check=True)
    for path, format_ in ((raw, "raw"), (qcow2, "qcow2")):
        created = bench.create(bench.volume, name=path.name, pool=pool, source=str(path))
        assert created.state["format"] == format_
        assert created.state["size"] == 64 << 20
        assert _digest(Path(created.id)) == _digest(path)
        assert Path(created.id).stat().st_blocks <= path.stat().st_blocks + 512
        bench.delete(bench.volume, created)
        assert not Path(created.id).exists()


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def test_volume_from_a_url(bench: Bench, tmp_path: Path) -> None:
    pool = bench.make_pool().state["name"]
    image = tmp_path / "served.raw"
    image.write_bytes(random.randbytes(3_000_000))
    with _served(partial(_Quiet, directory=str(tmp_path))) as base:
        created = bench.create(bench.volume, pool=pool, source=f"{base}/served.raw")
        assert _digest(Path(created.id)) == _digest(image)
        with pytest.raises(UserError, match="404 File not found"):
            bench.create(bench.volume, name="no", pool=pool, source=f"{base}/nothing")


def test_upload_that_is_cut_off_leaves_nothing(bench: Bench) -> None:
    pool = bench.make_pool()
    with (
        _served(_CutShort) as base,
        pytest.raises(UserError, match="the source ended after"),
    ):
        bench.create(bench.volume, pool=pool.state["name"], source=f"{base}/short")
    assert list(Path(pool.state["target"]["path"]).iterdir()) == []


def test_cancelled_upload_leaves_nothing(bench: Bench) -> None:
    pool = bench.make_pool()
    op = bench.op(bench.volume.token, "v")

    class Endless(_CutShort):
        """Gives its data slowly, and has the upload cancelled when a part of it is under way."""

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(1 << 30))
            self.end_headers()
            try:
                for part in range(1000):
                    self.wfile.write(bytes(64 << 10))
                    if part == 20:
                        op.cancelled.set()
                    time.sleep(0.01)
            except OSError:
                return  # the other side has closed: it was cancelled

    with _served(Endless) as base:
        inputs = {"name": "v", "pool": pool.state["name"], "source": f"{base}/v", "format": "raw"}
        with pytest.raises(UserError, match="was cancelled"):
            bench.volume.create(op, inputs)
    assert list(Path(pool.state["target"]["path"]).iterdir()) == []


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class _CutShort(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "5000000")
        self.end_headers()
        self.wfile.write(bytes(1_000_000))

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class _served:
    """An HTTP server for the time of a `with`; gives its base URL."""

    def __init__(self, handler: Callable[..., Any]) -> None:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)

    def __enter__(self) -> str:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def test_layered_volumes_and_their_mistakes(bench: Bench) -> None:
    pool = bench.make_pool().state["name"]
    cache = bench.make_pool("cache").state["name"]  # a pool that is not in the stack
    base = bench.create(bench.volume, name="base", pool=cache, size=64 << 20)
    warm = bench.create(
        bench.volume, name="warm", pool=pool, baseVolumeName="base", baseVolumePool=cache
    )
    assert warm.state["size"] == 64 << 20
    info = subprocess.run(
        ["qemu-img", "info", "-U", warm.id], capture_output=True, text=True, check=True
    )
    assert base.id in info.stdout
    make = partial(bench.create, bench.volume, pool=pool)
    with pytest.raises(UserError, match="size 1024 is smaller than its base volume"):
        make(name="small", baseVolumeId=base.id, size=1024)
    with pytest.raises(UserError, match="has no such volume"):
        make(name="x", baseVolumeName="missing")
    with pytest.raises(UserError, match="can't retrieve volume ID '/gone'"):
        make(name="x", baseVolumeId="/gone")
    with pytest.raises(UserError, match="can't find storage pool 'nope'"):
        make(name="x", pool="nope", size=1)
    with pytest.raises(UserError, match="volume 'warm' already exists in storage pool"):
        make(name="warm", size=1 << 20)
    with pytest.raises(UserError, match="can't create volume 'huge'") as caught:
        make(name="huge", size=1 << 62, format="raw")
    assert "\n" not in str(caught.value)
    assert sorted(bench.raw.storagePoolLookupByName(pool).listVolumes()) == ["warm"]

    Path(warm.id).unlink()  # out of band
    assert bench.read(bench.volume, warm) is None
    bench.delete(bench.volume, warm)


def test_cloud_init_disk_is_private_and_reads_back(bench: Bench) -> None:
    pool = bench.make_pool().state["name"]
    user_data = "#cloud-config\n" + "x: é\n" * 900
    created = bench.create(bench.disk, name="ci.iso", pool=pool, userData=user_data)
    path, _, uuid = created.id.partition(";")
    assert len(uuid) == 36
    assert Path(path).stat().st_mode & 0o777 == 0o600
    state = bench.read(bench.disk, created)
    assert state == created.state
    assert state["userData"] == user_data
    assert state["metaData"] == ""
    imported = bench.disk.read(bench.op(bench.disk.token, "r"), created.id, {})
    assert imported == created.state
    Path(path).unlink()
    assert bench.read(bench.disk, created) is None
    bench.delete(bench.disk, created)


def test_network_life_cycle(bench: Bench) -> None:
    subnet = random_subnet()
    hosts = [{"hostname": "a", "ip": f"{subnet}.9"}]
    created = bench.create(
        bench.network, mode="none", addresses=[f"{subnet}.0/24"], dns={"hosts": hosts}
    )
    name = created.state["name"]
    assert created.state["mode"] == "none"
    assert created.state["autostart"] is False
    with pytest.raises(UserError, match="already exists and is not part of this stack"):
        bench.create(bench.network, mode="none")
    with pytest.raises(UserError, match=r"already in use by interface.*another address range"):
        bench.create(bench.network, name=f"{bench.prefix}-2", addresses=[f"{subnet}.0/24"])
    assert names(bench.prefix) == [name]  # the failed one left no definition

    more = [{"hostname": "a", "ip": f"{subnet}.9"}, {"hostname": "b", "ip": f"{subnet}.9"}]
    bench.raw.networkLookupByName(name).destroy()  # an update starts it again
    state = bench.update(
        bench.network,
        created,
        mode="none",
        addresses=[f"{subnet}.0/24"],
        autostart=True,
        dns={"hosts": more},
        mtu=1400,
    )
    assert state["dns"]["hosts"] == more
    assert state["autostart"] is True
    network = bench.raw.networkLookupByName(name)
    assert network.isActive()
    assert "<hostname>b</hostname>" in network.XMLDesc(0)
    assert bench.said.warnings == [
        f"network '{name}': mtu takes effect when the network is replaced"
    ]
    imported = bench.network.read(bench.op(bench.network.token, "r"), created.id, {})
    assert imported is not None
    assert imported["addresses"] == [f"{subnet}.0/24"]
    assert imported["mode"] == "none"
    bench.delete(bench.network, created)
    bench.delete(bench.network, created)
    assert bench.read(bench.network, created) is None


def test_domain_with_kernel_and_console_file_without_graphics(bench: Bench, tmp_path: Path) -> None:
    pool = bench.make_pool()
    subnet = random_subnet()
    network = bench.create(bench.network, mode="nat", addresses=[f"{subnet}.0/24"])
    disk = bench.create(bench.volume, name="d", pool=pool.state["name"], size=32 << 20)
    folder = Path(pool.state["target"]["path"])
    # Not a kernel that boots: the hypervisor only has to load and start it.
    kernel = Path("/var/lib/libvirt/boot") / f"{bench.prefix}-kernel"
    kernel.parent.mkdir(exist_ok=True)
    kernel.write_bytes(_real_mode_kernel())
    log = folder / "console.log"
    mac = "52:54:00:0a:0b:0c"
    inputs: dict[str, Any] = {
        "type": "qemu",
        "machine": "pc",
        "memory": 64,
        "vcpu": 1,
        "running": True,
        "cpu": {"mode": "maximum"},
        "kernel": str(kernel),
        "cmdlines": [{"console": "ttyS0", "root": "/dev/vda"}, {"_": "quiet ro"}],
        "disks": [{"volumeId": disk.id, "scsi": False}],
        "networkInterfaces": [
            {"networkName": network.state["name"], "mac": mac, "addresses": [f"{subnet}.77"]}
        ],
        "consoles": [{"type": "pty", "targetPort": "0", "targetType": "serial"}],
        "xml": {"xslt": GRAPHICS_LESS.replace("{log}", str(log))},
    }
    try:
        created = bench.create(bench.domain, **inputs)
        name = created.state["name"]
        document = bench.raw.lookupByName(name).XMLDesc(0)
        assert "<graphics" not in document
        assert f"<source path='{log}'" in document
        assert created.state["cmdlines"] == inputs["cmdlines"]
        assert created.state["machine"] == "pc"
        assert created.state["networkInterfaces"][0]["hostname"] == name
        assert f"ip='{subnet}.77'" in bench.raw.networkLookupByName(network.state["name"]).XMLDesc(
            0
        )
        assert log.exists()
        assert bench.read(bench.domain, created) == created.state

        domain = bench.raw.lookupByName(name)
        stopped = bench.update(
            bench.domain, created, **{**inputs, "running": False, "autostart": True}
        )
        assert not domain.isActive()
        assert domain.autostart() == 1
        assert stopped["running"] is False
        later = Created(created.id, stopped)
        bench.update(bench.domain, later, **{**inputs, "kernel": "/other"})
        assert domain.isActive()
        assert bench.said.warnings == [
            f"domain '{name}': kernel takes effect when the domain is replaced"
        ]
        imported = bench.domain.read(bench.op(bench.domain.token, "r"), created.id, {})
        assert imported is not None
        assert imported["disks"][0]["volumeId"] == disk.id
        assert imported["memory"] == 64
        assert imported["cpu"] == {"mode": "maximum"}

        with pytest.raises(UserError, match="already exists and is not part of this stack"):
            bench.create(bench.domain, **inputs)
        bench.delete(bench.domain, created)
        bench.delete(bench.domain, created)
        assert bench.read(bench.domain, created) is None
    finally:
        log.unlink(missing_ok=True)
        remove_all(bench.prefix)
        kernel.unlink()


def _real_mode_kernel() -> bytes:
    """Make the least that qemu takes for a bzImage: a setup sector and a payload that halts."""
    setup = bytearray(1024 * 2)
    setup[0x1F1] = 1
    setup[0x1FE:0x200] = b"\x55\xaa"
    setup[0x202:0x206] = b"HdrS"
    setup[0x206:0x208] = (0x0200).to_bytes(2, "little")
    setup[0x211] = 1
    return bytes(setup) + b"\xf4" * 4096


def test_failed_domains_leave_nothing(bench: Bench) -> None:
    pool = bench.make_pool().state["name"]
    subnet = random_subnet()
    network = bench.create(bench.network, mode="nat", addresses=[f"{subnet}.0/24"])
    cloudinit = bench.create(bench.disk, name="ci.iso", pool=pool, userData="x")
    before = names(bench.prefix)
    interface = {
        "networkId": network.id,
        "mac": "52:54:00:0a:0b:0d",
        "addresses": [f"{subnet}.5"],
    }
    base = {"type": "qemu", "memory": 64, "networkInterfaces": [interface]}
    mistakes: list[tuple[dict[str, Any], str]] = [
        ({"machine": "q35", "cloudinit": cloudinit.id}, "IDE controllers.*use machine 'pc'"),
        ({"disks": [{"volumeId": "/gone"}]}, "can't retrieve volume /gone"),
        ({"kernel": "/no/such/kernel"}, "/no/such/kernel"),
        ({"machine": "nonsense"}, "no such `machine`"),
        ({"memory": 1 << 40}, "can't create domain"),
        ({"graphics": {"type": "none"}}, "only supports vnc/spice"),
        (
            {"networkInterfaces": [{**interface, "addresses": ["192.0.2.1"]}]},
            "in none of the subnets",
        ),
    ]
    for inputs, message in mistakes:
        with pytest.raises(UserError, match=message) as caught:
            bench.create(bench.domain, **{**base, **inputs})
        assert "\n" not in str(caught.value)
    assert names(bench.prefix) == before
    assert "<host mac" not in bench.raw.networkLookupByUUIDString(network.id).XMLDesc(0)


def test_waiting_for_a_lease_can_be_cancelled(bench: Bench) -> None:
    network = bench.create(bench.network, mode="nat", addresses=[f"{random_subnet()}.0/24"])
    op = bench.op(bench.domain.token, "vm")
    threading.Timer(1.0, op.cancelled.set).start()
    inputs = {
        "name": f"{bench.prefix}-vm",
        "type": "qemu",
        "memory": 64,
        "networkInterfaces": [{"networkId": network.id, "waitForLease": True}],
    }
    with pytest.raises(UserError, match="waiting for its address was cancelled"):
        bench.domain.create(op, inputs)
    assert names(bench.prefix) == [network.state["name"]]


def test_unreachable_libvirt_is_one_clear_line(tmp_path: Path) -> None:
    missing = Connection(f"qemu+unix:///system?socket={tmp_path}/none")
    with pytest.raises(UserError, match=r"does not answer at .*start libvirtd") as caught:
        missing()
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="can't connect to libvirt at nonsense:///"):
        Connection("nonsense:///")()


def test_nothing_of_libvirt_lands_on_stderr(tmp_path: Path) -> None:
    program = (
        "from plugins.libvirt.connection import Connection\n"
        "import libvirt\n"
        f"c = Connection('{URI}')()\n"
        "try:\n    c.lookupByName('ttest-none')\n"
        "except libvirt.libvirtError:\n    pass\n"
        "c.close()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stderr == b""
