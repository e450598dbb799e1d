"""The bridge over gRPC, with no daemon: checks, differences, life cycle."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2

from plugins.bridge import UNKNOWN
from plugins.bridge.values import to_struct
from tests.support import ROOT
from tests.support.provider_process import ProviderProcess, message, urn

Start = Callable[..., ProviderProcess]
CONTAINER = "docker:index/container:Container"
NETWORK = "docker:index/network:Network"
VOLUME = "docker:index/volume:Volume"


def test_an_unsupported_input_is_named(plugin: ProviderProcess) -> None:
    _, failures = plugin.check(CONTAINER, {"image": "i", "gpus": "all"})
    assert failures == {
        "gpus": "Container.gpus is not supported by this bridge plugin; "
        "install Pulumi's docker plugin 5.x"
    }


@pytest.mark.parametrize(
    ("inputs", "path", "reason"),
    [
        ({"memory": "256"}, "memory", "must be an integer, not a string"),
        ({"memory": 1.5}, "memory", "must be an integer, not the number 1.5"),
        ({"memory": True}, "memory", "must be an integer, not the boolean true"),
        ({"envs": "A=1"}, "envs", "must be a list (order does not matter), not a string"),
        ({"envs": ["A=1", 2]}, "envs[1]", "must be a string, not the number 2"),
        ({"ports": [{"external": 1}]}, "ports[0].internal", "is required"),
        ({"ports": [{"internal": 70000}]}, "ports[0].internal", "is not a port number"),
        ({"restart": "sometimes"}, "restart", "must be one of no, on-failure, always"),
        ({"healthcheck": {"tests": ["CMD"], "interval": "5 s"}}, "healthcheck.interval", "5 s"),
        ({"cpus": "half"}, "cpus", "is not a number of CPUs"),
        ({"uploads": [{"file": "/a"}]}, "uploads[0]", "exactly one of content"),
        ({"mounts": [{"type": "bind", "target": "/a", "bind_options": {}}]},
         "mounts[0].bind_options", "is not supported"),
        ({"volumes": [{"volumeName": "v"}]}, "volumes[0]", "needs a containerPath"),
    ],
)  # fmt: skip
def test_a_bad_input_is_named_with_its_path(
    plugin: ProviderProcess, inputs: dict[str, Any], path: str, reason: str
) -> None:
    _, failures = plugin.check(CONTAINER, {"image": "i", **inputs})
    assert set(failures) == {path}
    assert reason in failures[path]


def test_defaults_are_marked_and_names_given(plugin: ProviderProcess) -> None:
    inputs, failures = plugin.check(NETWORK, {"labels": [{"label": "a", "value": "b"}]}, name="net")
    assert not failures
    assert inputs["__defaults"] == ["ipamDriver", "name"]
    assert inputs["labels"] == [{"__defaults": [], "label": "a", "value": "b"}]
    assert inputs["name"].startswith("net-")
    assert len(inputs["name"]) == len("net-") + 7
    again, _ = plugin.check(NETWORK, {}, olds=inputs, name="net")
    assert again["name"] == inputs["name"]


def test_unknown_inputs_pass_the_check_and_replace(plugin: ProviderProcess) -> None:
    _, failures = plugin.check(CONTAINER, {"name": "n", "image": UNKNOWN, "memory": UNKNOWN})
    assert not failures
    state = {"name": "n", "image": "sha256:1", "memory": 5}
    kinds, first = plugin.diff(CONTAINER, state, {"name": "n", "image": UNKNOWN, "memory": UNKNOWN})
    assert kinds["image"] == "UPDATE_REPLACE"
    assert kinds["memory"] == "UPDATE"
    assert first


def test_a_fixed_name_goes_first_an_automatic_one_does_not(plugin: ProviderProcess) -> None:
    state = {"name": "n", "driver": "bridge"}
    news = {"name": "n", "driver": "macvlan"}
    assert plugin.diff(NETWORK, state, news) == ({"driver": "UPDATE_REPLACE"}, True)
    automatic = {**news, "__defaults": ["name"]}
    assert plugin.diff(NETWORK, state, automatic) == ({"driver": "UPDATE_REPLACE"}, False)


def test_ignored_changes_are_no_difference(plugin: ProviderProcess) -> None:
    old = {"name": "n", "memory": 5}
    kinds, _ = plugin.diff(CONTAINER, old, {"name": "n", "memory": 6}, old, ("memory",))
    assert kinds == {}


def test_a_preview_touches_nothing_and_leaves_outputs_unknown(plugin: ProviderProcess) -> None:
    id, state = plugin.create(VOLUME, {"name": "plugtest-never"}, preview=True)
    assert id == ""
    assert state["name"] == "plugtest-never"
    assert state["mountpoint"] is UNKNOWN


def test_an_unknown_type_is_one_line(plugin: ProviderProcess) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        plugin.check("docker:index/secret:Secret", {})
    assert message(caught.value) == (
        "the resource type docker:index/secret:Secret is not supported by this bridge plugin; "
        "install Pulumi's docker plugin 5.x"
    )


def test_a_function_is_one_line(plugin: ProviderProcess) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        plugin.stub.Invoke(provider_pb2.InvokeRequest(tok="docker:index/getNetwork:getNetwork"))
    assert "getNetwork is not supported by this bridge plugin" in message(caught.value)


def test_a_daemon_out_of_reach_is_one_line(provider: Start) -> None:
    plugin = provider(config={"host": "unix:///nowhere/docker.sock"})
    with pytest.raises(grpc.RpcError) as caught:
        plugin.create(VOLUME, {"name": "plugtest-never"})
    assert message(caught.value) == (
        "can't reach the Docker daemon at unix:///nowhere/docker.sock: it is not running"
    )


def test_wrong_configuration_is_named(plugin: ProviderProcess) -> None:
    answer = plugin.stub.CheckConfig(
        provider_pb2.CheckRequest(urn=urn("p", "p"), news=to_struct({"context": "x", "host": 5}))
    )
    failures = {failure.property: failure.reason for failure in answer.failures}
    assert "docker.Provider.context is not supported" in failures["context"]
    assert "must be a string" in failures["host"]


def test_information(plugin: ProviderProcess) -> None:
    assert plugin.stub.GetPluginInfo(empty_pb2.Empty()).version == "5.2.0"
    assert '"docker"' in plugin.stub.GetSchema(provider_pb2.GetSchemaRequest()).schema


def test_an_interrupt_is_quiet(provider: Start) -> None:
    plugin = provider()
    assert plugin.close() == ""
    assert plugin.process.returncode == 0


def test_the_plugin_ends_with_its_engine(tmp_path: Path) -> None:
    script = ROOT / "plugins" / "bin" / "pulumi-resource-docker"
    (tmp_path / "port").touch()
    # A shell stands for the engine; it prints the plugin's id and is then killed.
    engine = subprocess.Popen(
        ["/bin/sh", "-c", f"'{script}' >'{tmp_path}/port' & echo $!; wait"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PULUMI_HOME": str(tmp_path)},
    )
    deadline = time.monotonic() + 10
    try:
        assert engine.stdout is not None
        plugin = int(engine.stdout.readline())
        while not (tmp_path / "port").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        engine.kill()
        engine.wait()
    while Path(f"/proc/{plugin}").exists():
        assert time.monotonic() < deadline, "the plugin outlived its engine"
        time.sleep(0.05)
