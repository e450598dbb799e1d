"""The Docker provider over gRPC against the real daemon."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import docker.errors
import grpc
import pytest
from google.protobuf import empty_pb2

from plugins.bridge.values import from_struct
from tests.support.docker_builds import IMAGE, PREFIX, build_inputs
from tests.support.provider_process import ProviderProcess, init_failure, message

pytestmark = pytest.mark.docker
Start = Callable[..., ProviderProcess]
Clean = Callable[[str], None]
CONTAINER = "docker:index/container:Container"
NETWORK = "docker:index/network:Network"
REMOTE_IMAGE = "docker:index/remoteImage:RemoteImage"
VOLUME = "docker:index/volume:Volume"
SLEEP = ["sleep", "600"]


@pytest.fixture
def plugin(provider: Start, clean: Clean) -> ProviderProcess:
    clean(PREFIX)
    return provider()


def container(base_image: str, **inputs: Any) -> dict[str, Any]:
    return {"name": f"{PREFIX}c", "image": base_image, "command": SLEEP, **inputs}


def file_in(daemon: docker.APIClient, id: str, path: str) -> tuple[bytes, int]:
    """Return content and mode of a file in a container."""
    stream, _ = daemon.get_archive(id, path)
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
        member = archive.getmembers()[0]
        extracted = archive.extractfile(member)
        assert extracted is not None
        return extracted.read(), member.mode & 0o7777


def inspect_image(daemon: Any, name: str) -> dict[str, Any]:
    found: dict[str, Any] = daemon.inspect_image(name)
    return found


def names(daemon: docker.APIClient) -> list[str]:
    return [name for found in daemon.containers(all=True) for name in found["Names"]]


def test_a_file_is_uploaded_into_a_writable_volume_of_a_read_only_container(
    plugin: ProviderProcess, daemon: docker.APIClient, base_image: str, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"from a file")
    plugin.create(VOLUME, {"name": f"{PREFIX}v"})
    inputs = container(
        base_image,
        readOnly=True,
        user="1000:1000",
        volumes=[{"volumeName": f"{PREFIX}v", "containerPath": "/run/secrets"}],
        uploads=[
            {"file": "/run/secrets/a", "content": "text", "permissions": "0444"},
            {
                "file": "/run/secrets/b",
                "contentBase64": base64.b64encode(b"\0\xff").decode(),
                "executable": True,
            },
            {"file": "/run/secrets/c", "source": str(source)},
        ],
    )
    id, _ = plugin.create(CONTAINER, inputs)
    assert file_in(daemon, id, "/run/secrets/a") == (b"text", 0o444)
    assert file_in(daemon, id, "/run/secrets/b") == (b"\0\xff", 0o744)
    assert file_in(daemon, id, "/run/secrets/c") == (b"from a file", 0o644)
    assert "plugtest-c" in str(names(daemon))


def test_limits_and_restart_policy_change_in_place(
    plugin: ProviderProcess, daemon: docker.APIClient, base_image: str
) -> None:
    inputs = container(base_image, memory=64, memorySwap=64, cpus="0.5", cpuShares=512)
    id, state = plugin.create(CONTAINER, inputs)
    checked, _ = plugin.check(CONTAINER, inputs)
    assert plugin.diff(CONTAINER, state, checked)[0] == {}

    news, _ = plugin.check(
        CONTAINER,
        {**inputs, "memory": 128, "memorySwap": 128, "cpus": "0.25", "restart": "always"},
    )
    kinds, _ = plugin.diff(CONTAINER, state, news)
    assert kinds == dict.fromkeys(("memory", "memorySwap", "cpus", "restart"), "UPDATE")
    state = plugin.update(CONTAINER, id, state, news)
    host = daemon.inspect_container(id)["HostConfig"]
    assert host["Memory"] == host["MemorySwap"] == 128 * 1024 * 1024
    assert host["NanoCpus"] == 250_000_000
    assert host["CpuShares"] == 512
    assert host["RestartPolicy"]["Name"] == "always"
    assert plugin.diff(CONTAINER, state, news)[0] == {}


def test_memory_without_swap_differs_as_upstream(plugin: ProviderProcess, base_image: str) -> None:
    inputs = container(base_image, memory=64)
    _, state = plugin.create(CONTAINER, inputs)
    checked, _ = plugin.check(CONTAINER, inputs)
    assert plugin.diff(CONTAINER, state, checked)[0] == {"memorySwap": "DELETE"}


def test_a_second_look_at_every_kind_of_setting_finds_no_difference(
    plugin: ProviderProcess, base_image: str
) -> None:
    plugin.create(NETWORK, {"name": f"{PREFIX}n"})
    inputs = container(
        base_image,
        entrypoints=["sh", "-c"],
        command=["sleep 600"],
        envs=["B=2", "A=1"],
        dns=["10.0.0.1", "10.0.0.2"],
        dnsOpts=["ndots:1"],
        dnsSearches=["example.test"],
        hosts=[{"host": "db", "ip": "10.1.1.1"}],
        sysctls={"net.ipv4.ip_unprivileged_port_start": "0"},
        devices=[{"hostPath": "/dev/null"}],
        groupAdds=["2000"],
        capabilities={"drops": ["ALL"], "adds": ["CAP_CHOWN", "NET_BIND_SERVICE"]},
        healthcheck={"tests": ["CMD", "true"], "interval": "60s", "timeout": "1m30s"},
        mounts=[
            {"type": "tmpfs", "target": "/tmp", "tmpfsOptions": {"sizeBytes": 1048576}},
            {"type": "volume", "target": "/data", "source": f"{PREFIX}v"},
        ],
        networksAdvanced=[{"name": f"{PREFIX}n", "aliases": ["x", "y"]}],
        ports=[
            {"internal": 80},
            {"internal": 53, "external": 18053, "ip": "127.0.0.1", "protocol": "udp"},
        ],
        shmSize=32,
        stopTimeout=3,
        pidMode="host",
        logDriver="json-file",
        logOpts={"max-size": "1m"},
        uploads=[{"file": "/etc/note", "content": "x"}],
    )
    id, state = plugin.create(CONTAINER, inputs)
    checked, _ = plugin.check(CONTAINER, inputs)
    assert plugin.diff(CONTAINER, state, checked)[0] == {}
    same_id, again, same_inputs = plugin.read(CONTAINER, id, state, checked)
    assert (same_id, again, same_inputs) == (id, state, checked)
    assert state["ports"][0]["external"] >= 1024


def test_drift_is_read(plugin: ProviderProcess, daemon: docker.APIClient, base_image: str) -> None:
    inputs = container(base_image, memory=64, memorySwap=64)
    id, state = plugin.create(CONTAINER, inputs)
    checked, _ = plugin.check(CONTAINER, inputs)
    daemon.update_container(id, mem_limit="96m", memswap_limit="96m")
    _, drifted, new_inputs = plugin.read(CONTAINER, id, state, checked)
    assert drifted["memory"] == new_inputs["memory"] == 96
    assert plugin.diff(CONTAINER, drifted, checked)[0]["memory"] == "UPDATE"

    daemon.kill(id)
    daemon.wait(id)
    _, stopped, _ = plugin.read(CONTAINER, id, state, checked)
    assert stopped["exitCode"] == 137
    assert plugin.diff(CONTAINER, stopped, checked)[0]["exitCode"] == "DELETE_REPLACE"

    daemon.remove_container(id)
    assert plugin.read(CONTAINER, id, state, checked)[0] == ""
    plugin.delete(CONTAINER, id, state)  # gone already


def test_objects_are_imported_by_id(
    plugin: ProviderProcess, daemon: docker.APIClient, base_image: str
) -> None:
    network = daemon.create_network(f"{PREFIX}n", labels={"a": "b"})["Id"]
    id, state, inputs = plugin.read(NETWORK, network)
    assert id == network
    assert inputs["name"] == f"{PREFIX}n"
    checked, _ = plugin.check(
        NETWORK, {"name": f"{PREFIX}n", "labels": [{"label": "a", "value": "b"}]}
    )
    assert plugin.diff(NETWORK, state, checked)[0] == {}

    daemon.create_volume(f"{PREFIX}v")
    assert plugin.read(VOLUME, f"{PREFIX}v")[2] == {"__defaults": []}

    made = daemon.create_container(base_image, SLEEP, name=f"{PREFIX}c")["Id"]
    daemon.start(made)
    id, state, _ = plugin.read(CONTAINER, made)
    checked, _ = plugin.check(CONTAINER, container(base_image))
    assert id == made
    assert plugin.diff(CONTAINER, state, checked)[0] == {}
    assert plugin.read(CONTAINER, "0" * 64)[0] == ""


@pytest.mark.parametrize(
    ("token", "name", "remedy"),
    [
        (CONTAINER, f"{PREFIX}c", "docker rm -f plugtest-c"),
        (NETWORK, f"{PREFIX}n", "docker network rm plugtest-n"),
        (VOLUME, f"{PREFIX}v", "docker volume rm plugtest-v"),
    ],
)
def test_somebody_elses_object_is_left_alone(
    plugin: ProviderProcess,
    daemon: docker.APIClient,
    base_image: str,
    token: str,
    name: str,
    remedy: str,
) -> None:
    daemon.create_container(base_image, SLEEP, name=f"{PREFIX}c")
    daemon.create_network(f"{PREFIX}n")
    daemon.create_volume(f"{PREFIX}v")
    before = sorted(names(daemon))
    inputs = container(base_image) if token == CONTAINER else {"name": name}
    with pytest.raises(grpc.RpcError) as caught:
        plugin.create(token, inputs)
    text = message(caught.value)
    assert f"named {name} exists already" in text
    assert remedy in text
    assert f"pulumi import {token} r " in text
    assert sorted(names(daemon)) == before


def failing(base_image: str) -> list[tuple[dict[str, Any], str]]:
    return [
        ({"image": "plugtest-absent:1"}, "can't create the container plugtest-c: No such image"),
        ({"command": ["/absent"]}, "no such file or directory"),
        ({"command": ["sh", "-c", "echo reason; exit 3"]},
         "the container plugtest-c exited at once with code 3: reason"),
        ({"networksAdvanced": [{"name": "plugtest-absent"}]}, "network plugtest-absent not found"),
        ({"uploads": [{"file": "/no/such/f", "content": "x"}]},
         "can't upload /no/such/f: the image has no directory /no/such"),
        ({"readOnly": True, "uploads": [{"file": "/etc/f", "content": "x"}]}, "read-only"),
        ({"uploads": [{"file": "/etc/f", "source": "/absent"}]}, "can't read the upload /absent"),
        ({"ports": [{"internal": 1, "external": 18077, "ip": "127.0.0.1"}]}, "18077"),
    ]  # fmt: skip


@pytest.mark.parametrize("index", range(8))
def test_a_failed_create_says_why_in_one_line_and_leaves_nothing(
    plugin: ProviderProcess, daemon: docker.APIClient, base_image: str, index: int
) -> None:
    if index == 7:
        plugin.create(CONTAINER, container(base_image, name=f"{PREFIX}holder", ports=[
            {"internal": 1, "external": 18077, "ip": "127.0.0.1"}]))  # fmt: skip
    before = sorted(names(daemon))
    inputs, reason = failing(base_image)[index]
    with pytest.raises(grpc.RpcError) as caught:
        plugin.create(CONTAINER, container(base_image, **inputs))
    assert reason in message(caught.value)
    assert "\n" not in message(caught.value)
    assert sorted(names(daemon)) == before


def test_an_unhealthy_container_is_kept_in_the_state(
    plugin: ProviderProcess, base_image: str
) -> None:
    inputs = container(
        base_image,
        wait=True,
        waitTimeout=1,
        healthcheck={"tests": ["CMD", "false"], "interval": "100ms", "retries": 30},
    )
    with pytest.raises(grpc.RpcError) as caught:
        plugin.create(CONTAINER, inputs)
    failure = init_failure(caught.value)
    assert "the container plugtest-c is not healthy after 1 s" in failure.reasons[0]
    state = from_struct(failure.properties)
    assert state["id"] == failure.id
    plugin.delete(CONTAINER, failure.id, state)


def test_a_one_shot_container_is_waited_for(plugin: ProviderProcess, base_image: str) -> None:
    inputs = container(
        base_image, command=["sh", "-c", "echo done"], mustRun=False, attach=True, logs=True
    )
    _, state = plugin.create(CONTAINER, inputs)
    assert state["containerLogs"] == "done\n"
    assert state["exitCode"] == 0
    checked, _ = plugin.check(CONTAINER, inputs)
    assert plugin.diff(CONTAINER, state, checked)[0] == {}


def test_cancel_ends_a_wait(plugin: ProviderProcess, base_image: str) -> None:
    inputs = container(
        base_image,
        wait=True,
        waitTimeout=60,
        healthcheck={"tests": ["CMD", "false"], "interval": "10s", "retries": 30},
    )
    timer = threading.Timer(1.5, lambda: plugin.stub.Cancel(empty_pb2.Empty()))
    timer.start()
    with pytest.raises(grpc.RpcError) as caught:
        plugin.create(CONTAINER, inputs)
    # Had it waited to its end, it would say that the container is not healthy.
    assert "was cancelled" in message(caught.value)


def test_a_local_image_needs_no_registry(
    plugin: ProviderProcess, daemon: docker.APIClient, base_image: str
) -> None:
    name = f"{PREFIX}image:1"
    daemon.tag(base_image, f"{PREFIX}image", "1")
    id, state = plugin.create(REMOTE_IMAGE, {"name": name, "keepLocally": True})
    image_id = inspect_image(daemon, name)["Id"]
    assert state["imageId"] == image_id
    assert id == image_id + name
    checked, _ = plugin.check(REMOTE_IMAGE, {"name": name, "keepLocally": True})
    assert plugin.diff(REMOTE_IMAGE, state, checked)[0] == {}
    assert plugin.diff(REMOTE_IMAGE, state, {"name": name})[0] == {"keepLocally": "DELETE"}
    assert plugin.read(REMOTE_IMAGE, id, state, checked)[1] == state
    plugin.delete(REMOTE_IMAGE, id, state)
    assert inspect_image(daemon, name)["Id"] == image_id
    plugin.delete(REMOTE_IMAGE, id, {**state, "keepLocally": False})
    with pytest.raises(docker.errors.ImageNotFound):
        inspect_image(daemon, name)
    assert plugin.read(REMOTE_IMAGE, id, state, checked)[0] == ""
    plugin.delete(REMOTE_IMAGE, id, {**state, "keepLocally": False})


def test_an_image_that_cannot_be_pulled_is_one_line(plugin: ProviderProcess) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        plugin.create(REMOTE_IMAGE, {"name": "127.0.0.1:1/plugtest:1"})
    assert "127.0.0.1:1" in message(caught.value)
    assert "\n" not in message(caught.value)


@pytest.mark.parametrize("builder", ["BuilderBuildKit", "BuilderV1"])
def test_an_image_is_built_with_target_arguments_and_ignored_files(
    plugin: ProviderProcess, daemon: docker.APIClient, base_image: str, tmp_path: Path, builder: str
) -> None:
    inputs = build_inputs(
        tmp_path / "ctx", base_image, target="first", args={"V": "7"}, builderVersion=builder
    )
    (tmp_path / "ctx" / ".dockerignore").write_text("# comment\n*.log\n!keep.log\n")
    for name in ("a.txt", "b.log", "keep.log"):
        (tmp_path / "ctx" / name).write_text(name)
    _, state = plugin.create(IMAGE, inputs)
    assert state["repoDigest"] == inspect_image(daemon, f"{PREFIX}built:1")["Id"]
    made = daemon.create_container(f"{PREFIX}built:1", SLEEP, name=f"{PREFIX}c")["Id"]
    assert file_in(daemon, made, "/v")[0] == b"7\n"
    assert file_in(daemon, made, "/data/keep.log")[0] == b"keep.log"
    for absent in ("/data/b.log", "/s"):
        with pytest.raises(docker.errors.NotFound):
            daemon.get_archive(made, absent)


def test_a_build_that_fails_is_one_line_with_its_last_words(
    plugin: ProviderProcess, base_image: str, tmp_path: Path
) -> None:
    inputs = build_inputs(tmp_path / "ctx", base_image)
    (tmp_path / "ctx" / "Dockerfile").write_text(
        f"FROM {base_image}\nRUN echo the reason >&2; exit 4\n"
    )
    with pytest.raises(grpc.RpcError) as caught:
        plugin.create(IMAGE, inputs)
    text = message(caught.value)
    assert "exit code: 4" in text
    assert "the reason" in text
    assert "\n" not in text


def test_build_arguments_are_not_repeated(
    plugin: ProviderProcess, base_image: str, tmp_path: Path
) -> None:
    inputs = build_inputs(tmp_path / "ctx", base_image, args={"V": "correct-horse"})
    (tmp_path / "ctx" / "Dockerfile").write_text(
        f"FROM {base_image}\nARG V\nRUN echo $V >&2; exit 4\n"
    )
    with pytest.raises(grpc.RpcError) as caught:
        plugin.create(IMAGE, inputs)
    assert "correct-horse" not in message(caught.value)
    assert "${V}" in message(caught.value)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """Run Debian's docker-registry on a free port and yield its address."""
    program = shutil.which("docker-registry")
    assert program is not None, "there is no docker-registry: run `make setup`"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    config = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(tmp_path / "registry")}},
        "http": {"addr": address},
    }
    (tmp_path / "registry.json").write_text(json.dumps(config))
    process = subprocess.Popen(
        [program, "serve", str(tmp_path / "registry.json")], stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 10
    while True:
        with contextlib.suppress(OSError), socket.create_connection(address.split(":")):  # type: ignore[arg-type]
            break
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield address
    process.terminate()
    process.wait()


def test_an_image_is_pushed_and_pulled_by_tag_and_digest(
    plugin: ProviderProcess,
    daemon: docker.APIClient,
    base_image: str,
    tmp_path: Path,
    registry: str,
) -> None:
    name = f"{registry}/{PREFIX}pushed:1"
    inputs = {**build_inputs(tmp_path / "ctx", base_image), "imageName": name, "skipPush": False}
    _, state = plugin.create(IMAGE, inputs)
    digest = state["repoDigest"]
    assert digest.startswith(f"{registry}/{PREFIX}pushed@sha256:")
    image_id = inspect_image(daemon, name)["Id"]
    for reference in (name, digest):
        daemon.remove_image(image_id, force=True)
        id, pulled = plugin.create(REMOTE_IMAGE, {"name": reference})
        assert pulled["imageId"] == image_id
        assert pulled["repoDigest"] == digest
        assert plugin.read(REMOTE_IMAGE, id, pulled)[1] == pulled
        plugin.delete(REMOTE_IMAGE, id, pulled)
        assert plugin.read(REMOTE_IMAGE, id, pulled)[0] == ""
        if reference == name:
            plugin.create(REMOTE_IMAGE, {"name": reference})


# Stands for the engine: starts the plugin, asks for an object and is killed on the way.
_ENGINE = """
import json, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.support.provider_process import ProviderProcess
root, home, cwd = map(Path, sys.argv[1:4])
process = ProviderProcess(root, "docker", home=home, cwd=cwd)
print(process.process.pid, flush=True)
for token, inputs in json.loads(sys.argv[4]):
    process.create(token, inputs)
print("made", flush=True)
time.sleep(60)
"""


def killed_run(
    root: Path, directory: Path, wanted: list[tuple[str, dict[str, Any]]], after_s: float | None
) -> None:
    """Make objects and kill engine and plugin together; after_s=None: once all are made."""
    engine = subprocess.Popen(
        [sys.executable, "-c", _ENGINE, str(root), str(directory / "home"), str(directory),
         json.dumps(wanted)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert engine.stdout is not None
    plugin = int(engine.stdout.readline())
    if after_s is None:
        assert engine.stdout.readline() == "made\n"
    else:
        time.sleep(after_s)
    os.kill(engine.pid, signal.SIGKILL)
    os.kill(plugin, signal.SIGKILL)
    engine.wait()


@pytest.mark.parametrize("after_s", [0.02, 0.05, 0.1, 0.2, 0.3, 0.45, None])
def test_a_killed_run_does_not_block_the_next(
    provider: Start,
    clean: Clean,
    daemon: docker.APIClient,
    base_image: str,
    tmp_path: Path,
    after_s: float | None,
) -> None:
    clean(PREFIX)
    wanted: list[tuple[str, dict[str, Any]]] = [
        (NETWORK, {"name": f"{PREFIX}n"}),
        (VOLUME, {"name": f"{PREFIX}v"}),
        (
            CONTAINER,
            container(
                base_image,
                networksAdvanced=[{"name": f"{PREFIX}n"}],
                volumes=[{"volumeName": f"{PREFIX}v", "containerPath": "/data"}],
            ),
        ),
    ]
    root = Path(__file__).parents[2]
    killed_run(root, tmp_path, wanted, after_s)
    plugin = provider()
    states = [(token, *plugin.create(token, inputs)) for token, inputs in wanted]
    for token, id, state in reversed(states):
        plugin.delete(token, id, state)
    left = [name for name in names(daemon) if name.startswith(f"/{PREFIX}")]
    assert left == []
    assert daemon.networks(names=[f"{PREFIX}n"]) == []
    assert not daemon.volumes(filters={"name": f"{PREFIX}v"})["Volumes"]
    assert plugin.close() == ""
    assert list((tmp_path / "home" / "bridge-journal" / "docker").glob("*.json")) == []


def test_a_container_killed_before_its_id_was_known_does_not_hold_its_volume(
    provider: Start, clean: Clean, daemon: docker.APIClient, base_image: str, tmp_path: Path
) -> None:
    clean(PREFIX)
    wanted: list[tuple[str, dict[str, Any]]] = [
        (VOLUME, {"name": f"{PREFIX}v"}),
        (
            CONTAINER,
            container(base_image, volumes=[{"volumeName": f"{PREFIX}v", "containerPath": "/data"}]),
        ),
    ]
    killed_run(Path(__file__).parents[2], tmp_path, wanted, None)
    for path in (tmp_path / "home" / "bridge-journal" / "docker").glob("*.json"):
        record = json.loads(path.read_text())
        if record["name"] == f"{PREFIX}c":  # as it was just after the daemon made it
            daemon.rename(record["id"], f"{PREFIX}c.{record['token']}")
            path.write_text(json.dumps({**record, "id": None}))
    plugin = provider()
    id, state = plugin.create(*wanted[0])
    assert [name for name in names(daemon) if name.startswith(f"/{PREFIX}")] == []
    plugin.delete(VOLUME, id, state)


def test_what_a_killed_run_left_goes_with_the_network_it_uses(
    provider: Start, clean: Clean, daemon: docker.APIClient, base_image: str, tmp_path: Path
) -> None:
    """The container never got into the state: a destroy knows of the network only."""
    clean(PREFIX)
    wanted = [
        (NETWORK, {"name": f"{PREFIX}n"}),
        (CONTAINER, container(base_image, networksAdvanced=[{"name": f"{PREFIX}n"}])),
    ]
    killed_run(Path(__file__).parents[2], tmp_path, wanted, None)
    network = daemon.networks(names=[f"{PREFIX}n"])[0]["Id"]
    plugin = provider()
    plugin.delete(NETWORK, network, {"name": f"{PREFIX}n"})
    assert f"/{PREFIX}c" not in names(daemon)
    assert daemon.networks(names=[f"{PREFIX}n"]) == []
