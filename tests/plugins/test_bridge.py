"""The bridge itself, over gRPC, with no daemon: checks, differences, secrets, life cycle."""

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

from plugins.bridge import UNKNOWN, Journal
from plugins.bridge.diff import diff_fields, inputs_of, merge_inputs
from plugins.bridge.errors import UserError
from plugins.bridge.paths import covers
from plugins.bridge.schema import boolean, integer, list_of, map_of, object_of, set_of, string
from plugins.bridge.values import Secret, from_struct, to_struct
from tests.plugins.provider_process import ProviderProcess, message, urn

Start = Callable[..., ProviderProcess]

CONTAINER = "docker:index/container:Container"
NETWORK = "docker:index/network:Network"
VOLUME = "docker:index/volume:Volume"


def changes(schema: dict[str, Any], old: dict[str, Any], new: dict[str, Any]) -> dict[str, str]:
    return {
        change.path: change.kind + ("-replace" if change.replace else "")
        for change in diff_fields(schema, old, new)
    }


@pytest.mark.parametrize(
    ("prop", "old", "new", "expected"),
    [
        (string(), "a", "a", {}),
        (string(), "a", "b", {"p": "update"}),
        (string(), "", None, {}),
        (string(), "a", None, {"p": "delete"}),
        (string(computed=True), "a", None, {}),
        (string(force_new=True), "a", UNKNOWN, {"p": "update-replace"}),
        (integer(), 0, None, {}),
        (integer(), None, 5, {"p": "add"}),
        (boolean(), False, True, {"p": "update"}),
        (list_of(string()), ["a", "b"], ["b", "a"], {"p[0]": "update", "p[1]": "update"}),
        (set_of(string()), ["a", "b"], ["b", "a"], {}),
        (set_of(string(), force_new=True), ["A=1"], ["A=1", "B=2"], {"p[1]": "add-replace"}),
        (set_of(string()), ["a", "b"], ["b"], {"p[0]": "delete"}),
        (map_of(string()), {"a.b": "1"}, {"a.b": "2"}, {'p["a.b"]': "update"}),
        (map_of(string()), {"/run": "x"}, {}, {'p["/run"]': "delete"}),
        (object_of({"a": string(), "b": integer()}), {"a": "x", "b": 1}, {"a": "y", "b": 1},
         {"p.a": "update"}),
        (object_of({"a": string()}), None, {"a": "y"}, {"p": "add"}),
        (set_of(object_of({"a": string(), "b": string(computed=True)})),
         [{"a": "x", "b": "given by the daemon"}], [{"a": "x"}], {}),
        (set_of(object_of({"a": string(), "b": integer()})),
         [{"a": "x", "b": 1}], [{"a": "x", "b": 2}], {"p[0].b": "update"}),
    ],
)  # fmt: skip
def test_difference(prop: Any, old: Any, new: Any, expected: dict[str, str]) -> None:
    assert changes({"p": prop}, {"p": old}, {"p": new}) == expected


def test_refresh_keeps_the_programs_spelling_and_takes_what_drifted() -> None:
    schema = {"tags": set_of(string()), "size": integer(), "gone": string()}
    inputs = {"__defaults": [], "tags": ["b", "a"], "size": 1, "gone": "x"}
    state = {"tags": ["a", "b"], "size": 2, "gone": ""}
    assert merge_inputs(schema, inputs, state) == {
        "__defaults": [],
        "tags": ["b", "a"],
        "size": 2,
    }


def test_import_finds_the_inputs_that_are_not_defaults() -> None:
    schema = {
        "name": string(required=True),
        "size": integer(),
        "driver": string(computed=True),
        "parts": list_of(object_of({"a": string(), "b": string()})),
    }
    state = {"name": "n", "size": 0, "driver": "x", "parts": [{"a": "1", "b": ""}]}
    assert inputs_of(schema, state) == {"name": "n", "parts": [{"__defaults": [], "a": "1"}]}


def test_values_survive_the_wire() -> None:
    values = {"i": 5, "f": 0.5, "b": True, "n": None, "l": [1, "x"], "o": {"k": UNKNOWN}}
    assert from_struct(to_struct(values)) == values
    secret = to_struct({"s": Secret({"k": "v"})})
    assert secret.fields["s"].struct_value.fields["value"].struct_value.fields["k"].string_value
    assert from_struct(secret) == {"s": {"k": "v"}}


def test_an_unsupported_input_is_named(provider: Start) -> None:
    _, failures = provider().check(CONTAINER, {"image": "i", "gpus": "all"})
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
    provider: Start, inputs: dict[str, Any], path: str, reason: str
) -> None:
    _, failures = provider().check(CONTAINER, {"image": "i", **inputs})
    assert set(failures) == {path}
    assert reason in failures[path]


def test_defaults_are_marked_and_names_given(provider: Start) -> None:
    plugin = provider()
    inputs, failures = plugin.check(NETWORK, {"labels": [{"label": "a", "value": "b"}]}, name="net")
    assert not failures
    assert inputs["__defaults"] == ["ipamDriver", "name"]
    assert inputs["labels"] == [{"__defaults": [], "label": "a", "value": "b"}]
    assert inputs["name"].startswith("net-")
    assert len(inputs["name"]) == len("net-") + 7
    again, _ = plugin.check(NETWORK, {}, olds=inputs, name="net")
    assert again["name"] == inputs["name"]


def test_unknown_inputs_pass_the_check_and_replace(provider: Start) -> None:
    plugin = provider()
    _, failures = plugin.check(CONTAINER, {"name": "n", "image": UNKNOWN, "memory": UNKNOWN})
    assert not failures
    state = {"name": "n", "image": "sha256:1", "memory": 5}
    kinds, first = plugin.diff(CONTAINER, state, {"name": "n", "image": UNKNOWN, "memory": UNKNOWN})
    assert kinds["image"] == "UPDATE_REPLACE"
    assert kinds["memory"] == "UPDATE"
    assert first


def test_a_fixed_name_goes_first_an_automatic_one_does_not(provider: Start) -> None:
    plugin = provider()
    state = {"name": "n", "driver": "bridge"}
    news = {"name": "n", "driver": "macvlan"}
    assert plugin.diff(NETWORK, state, news) == ({"driver": "UPDATE_REPLACE"}, True)
    automatic = {**news, "__defaults": ["name"]}
    assert plugin.diff(NETWORK, state, automatic) == ({"driver": "UPDATE_REPLACE"}, False)


def test_ignored_changes_are_no_difference(provider: Start) -> None:
    old = {"name": "n", "memory": 5}
    kinds, _ = provider().diff(CONTAINER, old, {"name": "n", "memory": 6}, old, ("memory",))
    assert kinds == {}


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("memory", "memory", True),
        ("memory", "memorySwap", False),
        ("disks", "disks[0].scsi", True),
        ("interfaces[0].addresses", "interfaces[0].addresses[0]", True),
        ("interfaces[0].addresses", "interfaces[0].mac", False),
        ("interfaces[*].addresses", "interfaces[3].addresses[0]", True),
        ("a.*", "a.b", True),
        ("a.b", "a", False),
    ],
)
def test_what_ignore_changes_covers(pattern: str, path: str, expected: bool) -> None:
    assert covers(pattern, path) is expected


def test_a_preview_touches_nothing_and_leaves_outputs_unknown(provider: Start) -> None:
    id, state = provider().create(VOLUME, {"name": "plugtest-never"}, preview=True)
    assert id == ""
    assert state["name"] == "plugtest-never"
    assert state["mountpoint"] is UNKNOWN


def test_an_unknown_type_is_one_line(provider: Start) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        provider().check("docker:index/secret:Secret", {})
    assert message(caught.value) == (
        "the resource type docker:index/secret:Secret is not supported by this bridge plugin; "
        "install Pulumi's docker plugin 5.x"
    )


def test_a_function_is_one_line(provider: Start) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        provider().stub.Invoke(provider_pb2.InvokeRequest(tok="docker:index/getNetwork:getNetwork"))
    assert "getNetwork is not supported by this bridge plugin" in message(caught.value)


def test_a_daemon_out_of_reach_is_one_line(provider: Start) -> None:
    plugin = provider(config={"host": "unix:///nowhere/docker.sock"})
    with pytest.raises(grpc.RpcError) as caught:
        plugin.create(VOLUME, {"name": "plugtest-never"})
    assert message(caught.value) == (
        "can't reach the Docker daemon at unix:///nowhere/docker.sock: it is not running"
    )


def test_wrong_configuration_is_named(provider: Start) -> None:
    answer = provider().stub.CheckConfig(
        provider_pb2.CheckRequest(urn=urn("p", "p"), news=to_struct({"context": "x", "host": 5}))
    )
    failures = {failure.property: failure.reason for failure in answer.failures}
    assert "docker.Provider.context is not supported" in failures["context"]
    assert "must be a string" in failures["host"]


def test_information(provider: Start) -> None:
    plugin = provider()
    assert plugin.stub.GetPluginInfo(empty_pb2.Empty()).version == "5.2.0"
    assert '"docker"' in plugin.stub.GetSchema(provider_pb2.GetSchemaRequest()).schema


def test_an_interrupt_is_quiet(provider: Start) -> None:
    plugin = provider()
    assert plugin.close() == ""
    assert plugin.process.returncode == 0


def test_the_plugin_ends_with_its_engine(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    script = root / "plugins" / "bin" / "pulumi-resource-docker"
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


def test_the_journal_counts_only_for_a_dead_engine_and_the_same_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    live = Journal("docker", tmp_path)
    entry = live.begin("urn:a", "thing")
    entry.record("id-1")
    assert Journal("docker", tmp_path).left_over("urn:a", "thing") == []

    engine = subprocess.Popen(["sleep", "600"])
    monkeypatch.setattr(os, "getppid", lambda: engine.pid)
    killed = Journal("docker", tmp_path)
    killed.begin("urn:b", "thing").record("id-2")
    engine.kill()
    engine.wait()
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    after = Journal("docker", tmp_path)
    assert [left.id for left in after.left_over("urn:b", "thing")] == ["id-2"]
    assert after.left_over("urn:b", "other") == []
    assert after.left_over("urn:c", "thing") == []
    assert [(left.id, left.name) for left in after.of_killed_runs()] == [("id-2", "thing")]
    monkeypatch.chdir("/")
    assert Journal("docker", tmp_path).left_over("urn:b", "thing") == []
    monkeypatch.chdir(tmp_path)
    after.in_state("urn:b", "id-2")
    assert after.left_over("urn:b", "thing") == []
    live.close()
    assert list(tmp_path.glob("bridge-journal/docker/*")) == []


def test_a_call_of_a_killed_engine_begins_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next run may have looked by then, and found no entry to wait for."""
    monkeypatch.chdir(tmp_path)
    engine = subprocess.Popen(["sleep", "600"])
    monkeypatch.setattr(os, "getppid", lambda: engine.pid)
    killed = Journal("libvirt", tmp_path)
    engine.kill()
    engine.wait()
    for call in (killed.begin, killed.left_over):
        with pytest.raises(UserError, match="the engine is gone"):
            call("urn:a", "thing")
    assert list(tmp_path.glob("bridge-journal/libvirt/*")) == []
