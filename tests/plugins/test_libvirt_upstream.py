"""The recorded program on our plugin: state, libvirt's objects and diffs, field by field."""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import libvirt
import pytest
from lxml import etree

from tests.plugins.libvirt.harness import ROOT, URI, cleaned_up, names, random_subnet
from tests.plugins.pulumi_cli import Project

pytestmark = pytest.mark.libvirt

RECORDED = Path(__file__).parent / "libvirt" / "upstream"
UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@pytest.fixture
def prefix() -> Iterator[str]:
    with cleaned_up() as prefix:
        yield prefix


@pytest.fixture
def subnet() -> str:
    return random_subnet()


@pytest.fixture
def project(tmp_path: Path, prefix: str, subnet: str) -> Project:
    """Make a project of the recorded program under our own names."""
    program = (RECORDED / "__main__.py").read_text()
    project = Project(ROOT, tmp_path, "real", program)
    project.environment |= {"TTEST_PREFIX": prefix, "TTEST_SUBNET": subnet}
    image = str(project.directory / "small.qcow2")
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", image, "64M"], check=True)
    project.run("stack", "init", "real")
    return project


def normalised(text: str, prefix: str, subnet: str) -> str:
    """Replace what differs from run to run and machine to machine by fixed text.

    Names and addresses that the test chose; UUIDs that libvirt chose; the numbers of bridge, tap
    device, pseudo-terminal and domain, which depend on what else runs; the size of the host's disk.
    """
    text = text.replace(prefix, "real").replace(subnet, "10.91.0")
    text = re.sub(UUID, "<uuid>", text)
    text = re.sub(r"virbr\d+", "virbr<n>", text)
    text = re.sub(r"vnet\d+", "vnet<n>", text)
    text = re.sub(r"/dev/pts/\d+", "/dev/pts/<n>", text)
    text = re.sub(r"target/domain-\d+-", "target/domain-<n>-", text)
    return re.sub(r'"(allocation|available|capacity)": \d+', r'"\1": "<bytes>"', text)


def test_same_state_objects_and_diffs_as_upstream(
    project: Project, prefix: str, subnet: str
) -> None:
    project.up()

    recorded = json.loads((RECORDED / "state.json").read_text())
    by_name = {
        (r["type"], r["inputs"]["name"]): r for r in _json_normalised(recorded, "real", "10.91.0")
    }
    ours = _json_normalised(list(project.resources().values()), prefix, subnet)
    assert len(ours) == 7
    for resource in ours:
        expected = by_name.pop((resource["type"], resource["inputs"]["name"]))
        assert {key: resource[key] for key in expected} == expected
    assert not by_name

    connection = libvirt.open(URI)
    domain = connection.lookupByName(f"{prefix}-vm").XMLDesc(0)
    network = connection.networkLookupByName(f"{prefix}-net").XMLDesc(0)
    connection.close()
    assert _xml_normalised(domain, prefix, subnet) == _recorded_xml("domain.xml")
    assert _xml_normalised(network, prefix, subnet) == _recorded_xml("network.xml")

    changed = _domain_diff(project.run("preview", "--diff", V2="1"))
    expected_diff = (RECORDED / "diff-v2.txt").read_text()
    assert (
        normalised(changed, prefix, subnet).split()
        == normalised(expected_diff, "real", "10.91.0").split()
    )

    # Upstream's pitfall: the next preview wants to add the address again, and only that.
    again = project.run("preview", "--diff")
    assert re.search(r"~ networkInterfaces: \[\s+~ \[0\]: \{\s+~ addresses: \[\s+\+ \[0\]", again)
    assert "~ 1 to update" in again
    assert "8 unchanged" in again
    project.up()
    project.run("preview", "--expect-no-changes")

    project.up(V2="1")
    assert project.resources()["vm"]["outputs"]["memory"] == 768
    project.destroy()
    assert names(prefix) == []
    assert not Path(f"/var/lib/libvirt/{prefix}-pool").exists()


def _json_normalised(value: Any, prefix: str, subnet: str) -> Any:
    return json.loads(normalised(json.dumps(value), prefix, subnet))


def _recorded_xml(name: str) -> list[tuple[str, dict[str, str], str]]:
    return _xml_normalised((RECORDED / name).read_text(), "real", "10.91.0")


def _xml_normalised(
    document: str, prefix: str, subnet: str
) -> list[tuple[str, dict[str, str], str]]:
    """Give path, attributes and text of every element, in document order.

    Beyond `normalised`: a network's own MAC is random, a spice port is the next free one, and a
    domain's id counts the domains that libvirtd has started so far.
    """
    root = etree.fromstring(document.encode())
    tree = root.getroottree()
    normal = []
    for element in root.iter():
        raw = json.dumps([dict(element.attrib), (element.text or "").strip()])
        raw = normalised(raw, prefix, subnet)
        raw = re.sub(r'"52:54:00:(?!aa:bb:cc)[0-9a-f:]{8}"', '"<mac>"', raw, flags=re.I)
        raw = re.sub(r'"port": "59\d\d"', '"port": "<n>"', raw)
        attributes, text = json.loads(raw)
        if element is root:
            attributes.pop("id", None)
        normal.append((tree.getpath(element), attributes, text))
    return normal


def _domain_diff(preview: str) -> str:
    start = preview.index("    +-libvirt:index/domain:Domain")
    return preview[start : preview.index("Resources:", start)]


def test_refresh_sees_drift_and_objects_that_others_removed(
    project: Project, prefix: str, subnet: str
) -> None:
    project.up()
    # The address that upstream does not read back is all that a refresh finds changed.
    refreshed = project.refresh()
    assert "[diff: ~networkInterfaces]" in refreshed
    assert "~ 1 updated" in refreshed

    connection = libvirt.open(URI)
    domain = connection.lookupByName(f"{prefix}-vm")
    domain.setAutostart(1)
    domain.destroy()
    connection.networkLookupByName(f"{prefix}-net").setAutostart(0)
    Path(f"/var/lib/libvirt/{prefix}-pool/{prefix}-data.qcow2").unlink()
    project.refresh()
    resources = project.resources()
    assert resources["vm"]["outputs"]["autostart"] is True
    assert resources["vm"]["outputs"]["running"] is False
    assert resources["net"]["outputs"]["autostart"] is False
    assert "data" not in resources

    project.up()  # puts all of it right again
    domain = connection.lookupByName(f"{prefix}-vm")
    assert domain.autostart() == 0
    assert domain.isActive()
    assert connection.networkLookupByName(f"{prefix}-net").autostart() == 1

    domain.destroy()
    domain.undefine()
    connection.networkLookupByName(f"{prefix}-net").destroy()
    connection.networkLookupByName(f"{prefix}-net").undefine()
    connection.close()
    project.destroy()  # what is gone already is no failure
    assert names(prefix) == []


def test_killed_engines_leave_nothing_behind(project: Project, prefix: str) -> None:
    seed = random.randrange(2**32)
    moments = random.Random(seed)
    for _ in range(4):
        engine = project.start("up", "--yes", "--skip-preview")
        time.sleep(moments.uniform(0.8, 4.5))
        engine.send_signal(signal.SIGKILL)
        engine.communicate()
        project.run("cancel", "--yes")
    output = project.up()
    assert "already exists" not in output, f"seed {seed}: {output}"
    project.destroy()
    assert names(prefix) == [], f"seed {seed}"
    assert not Path(f"/var/lib/libvirt/{prefix}-pool").exists(), f"seed {seed}"


def test_import_by_id_and_default_provider(tmp_path: Path, prefix: str, subnet: str) -> None:
    program = (
        "import pulumi_libvirt as libvirt\n"
        f"libvirt.Network('net', name='{prefix}-net', addresses=['{subnet}.0/24'], mode='nat')\n"
        f"pool = libvirt.Pool('pool', name='{prefix}-pool', type='dir', "
        f"target={{'path': '/var/lib/libvirt/{prefix}-pool'}})\n"
        "libvirt.Volume('disk', pool=pool.name, size=1 << 20)\n"
    )
    project = Project(ROOT, tmp_path, "imported", program)
    project.environment["LIBVIRT_DEFAULT_URI"] = URI
    project.run("stack", "init", "imported")
    project.up()
    project.run("preview", "--expect-no-changes")
    project.refresh("--expect-no-changes")
    before = project.resources()
    assert re.fullmatch(r"disk-[0-9a-f]{7}", before["disk"]["outputs"]["name"])
    for name in ("disk", "net", "pool"):
        project.run("state", "delete", "--yes", before[name]["urn"])
    for name in ("net", "pool", "disk"):
        resource = before[name]
        project.run(
            "import", "--yes", "--generate-code=false", "--protect=false", "--skip-preview",
            resource["type"], name, resource["id"],
        )  # fmt: skip
    after = project.resources()
    for name in ("net", "pool"):
        assert after[name]["outputs"]["id"] == before[name]["id"]
    project.write(
        program.replace("'disk', ", f"'disk', name='{before['disk']['outputs']['name']}', ")
    )
    project.run("preview", "--expect-no-changes", "--diff")
    # An import knows of no dependencies: without this, the pool and what is in it go at once.
    project.up()
    project.destroy()
    assert names(prefix) == []


def test_destroy_right_after_a_kill_finds_what_uses_its_objects(
    project: Project, prefix: str
) -> None:
    engine = project.start("up", "--yes", "--skip-preview")
    connection = libvirt.open(URI)
    deadline = time.monotonic() + 60
    while f"{prefix}-vm" not in [domain.name() for domain in connection.listAllDomains()]:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    engine.send_signal(signal.SIGKILL)  # defined, perhaps not yet started
    engine.communicate()
    connection.close()
    project.run("cancel", "--yes")
    project.destroy()
    assert names(prefix) == []
    assert not Path(f"/var/lib/libvirt/{prefix}-pool").exists()


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (
            "Network('r', addresses=['nonsense'])",
            "error parsing addresses definition 'nonsense': not a CIDR",
        ),
        (
            "Volume('r', source='/a', size=3)",
            "'size' can't be specified when also 'source' is given",
        ),
        ("Domain('r', memory='much')", "Domain.memory must be an integer, not a string"),
        ("Domain('r', metadata='<a/>')", "Domain.metadata is not supported by this bridge plugin"),
    ],
)
def test_mistakes_in_a_program_are_one_line_each(
    tmp_path: Path, mistake: str, message: str
) -> None:
    project = Project(ROOT, tmp_path, "mistakes", f"import pulumi_libvirt as l\nl.{mistake}\n")
    project.run("stack", "init", "mistakes")
    process = project.start("preview")
    output, _ = process.communicate()
    assert process.returncode != 0
    lines = [line for line in output.splitlines() if message in line]
    assert lines, output
    assert "Traceback" not in output
