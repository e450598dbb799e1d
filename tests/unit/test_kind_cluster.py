"""The cluster as a resource: what kind and docker are asked, with programs that only take notes."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from components.kubernetes import cluster, rollout, tools

PROPS = {
    "name": "triptych-unit",
    "config": "kind: Cluster\n",
    "image": "r/node:1",
    "network": "triptych-unit",
}
SCRIPT = """#!/bin/sh
printf '%s' "$(basename "$0")" >> {log}
for word in "$@"; do printf ' %s' "$word" >> {log}; done
printf ' [%s]\\n' "$KIND_EXPERIMENTAL_DOCKER_NETWORK" >> {log}
case "$(basename "$0") $1" in
"kind create") cat > {stdin}; [ ! -e {broken} ] || {{ echo 'ERROR: no luck' >&2; exit 1; }} ;;
"kind get") echo kubeconfig-content ;;
"docker ps") cat {ps} ;;
"kubectl get") [ "$2" = --raw ] || cat {objects} ;;
esac
"""


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Put programs on PATH that note how they are called."""
    files = {n: tmp_path / n for n in ("log", "stdin", "broken", "ps", "objects")}
    files["ps"].write_text("triptych-unit-control-plane\trunning\n")
    for name in ("kind", "docker", "kubectl"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(SCRIPT.format(**files))
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(tools, "_BIN", tmp_path / "none")
    monkeypatch.setattr(tools, "_KUBECONFIGS", tmp_path / "kubeconfig")
    files["kubeconfig"] = tmp_path / "kubeconfig" / "triptych-unit"
    return files


@pytest.fixture
def provider():
    return cluster._Provider()


def calls(programs):
    return programs["log"].read_text().splitlines() if programs["log"].exists() else []


class TestCluster:
    def test_create(self, programs, provider):
        made = provider.create(dict(PROPS))
        create = calls(programs)[0]
        assert create.startswith("kind create cluster --name triptych-unit --image r/node:1")
        assert create.endswith("[triptych-unit]")
        assert programs["stdin"].read_text() == PROPS["config"]
        assert made.id.startswith("triptych-unit-")
        assert made.outs["kubeconfig"] == "kubeconfig-content\n"
        assert made.outs["running"] is True
        assert {k: made.outs[k] for k in PROPS} == PROPS

    def test_each_cluster_is_another(self, programs, provider):
        assert provider.create(dict(PROPS)).id != provider.create(dict(PROPS)).id

    def test_the_kubeconfig_is_for_its_user_alone_and_not_the_users_own(self, programs, provider):
        provider.create(dict(PROPS))
        assert stat.S_IMODE(programs["kubeconfig"].stat().st_mode) == 0o600
        for call in calls(programs):
            if call.startswith(("kind create", "kind delete")):
                assert f"--kubeconfig {programs['kubeconfig']}" in call

    def test_what_fails_leaves_nothing(self, programs, provider):
        programs["broken"].touch()
        with pytest.raises(tools.ToolError) as caught:
            provider.create(dict(PROPS))
        assert str(caught.value) == "kind create: ERROR: no luck"
        assert "kind delete cluster --name triptych-unit" in calls(programs)[-1]
        assert not programs["kubeconfig"].exists()

    def test_gone(self, programs, provider):
        made = provider.create(dict(PROPS))
        programs["ps"].write_text("")
        assert provider.read(made.id, made.outs).id == ""
        assert not programs["kubeconfig"].exists()

    def test_stopped_is_started_again(self, programs, provider):
        made = provider.create(dict(PROPS))
        programs["ps"].write_text("triptych-unit-control-plane\texited\n")
        read = provider.read("x", {**PROPS, "kubeconfig": "k", "running": True})
        assert read.id == "x"
        assert read.outs["running"] is False
        changed = provider.diff("x", read.outs, dict(PROPS))
        assert (changed.changes, changed.replaces) == (True, [])
        updated = provider.update("x", read.outs, dict(PROPS))
        assert any(
            c.startswith("docker start triptych-unit-control-plane") for c in calls(programs)
        )
        assert updated.outs["running"] is True
        assert any(c.startswith("kubectl get --raw /readyz") for c in calls(programs))
        # The provider is told anew, once: what is read afterwards is no change.
        assert updated.outs["kubeconfig"] != made.outs["kubeconfig"]
        programs["ps"].write_text("triptych-unit-control-plane\trunning\n")
        assert provider.read("x", updated.outs).outs == updated.outs

    def test_nothing_changes_by_itself(self, programs, provider):
        made = provider.create(dict(PROPS))
        read = provider.read(made.id, made.outs)
        assert read.outs == made.outs
        assert provider.diff(made.id, read.outs, dict(PROPS)).changes is False

    @pytest.mark.parametrize("key", ["name", "config", "image", "network"])
    def test_another_cluster(self, programs, provider, key):
        made = provider.create(dict(PROPS))
        changed = provider.diff(made.id, made.outs, {**PROPS, key: "another"})
        assert changed.changes is True
        assert changed.replaces == [key]
        assert changed.delete_before_replace is True

    def test_a_lost_kubeconfig_file_is_written_again(self, programs, provider):
        made = provider.create(dict(PROPS))
        programs["kubeconfig"].unlink()
        provider.read(made.id, made.outs)
        assert programs["kubeconfig"].read_text() == "kubeconfig-content\n"

    def test_delete(self, programs, provider):
        made = provider.create(dict(PROPS))
        provider.delete(made.id, made.outs)
        assert calls(programs)[-1].startswith("kind delete cluster --name triptych-unit")
        assert not programs["kubeconfig"].exists()

    def test_another_daemon(self, programs, provider, tmp_path):
        daemon = {**PROPS, "docker_host": "unix:///run/other.sock"}
        (tmp_path / "bin" / "kind").write_text(
            f'#!/bin/sh\necho "$DOCKER_HOST" > {tmp_path}/host\n'
        )
        provider.create(daemon)
        assert (tmp_path / "host").read_text() == "unix:///run/other.sock\n"


class TestTools:
    def test_missing(self, monkeypatch):
        monkeypatch.setattr(tools, "find", lambda _name: None)
        with pytest.raises(tools.ToolError, match="kind is missing: run `make build`"):
            tools.run("kind", "version")

    def test_too_slow(self):
        with pytest.raises(tools.ToolError, match=r"sleep 60: no end after 0\.1 s"):
            tools.run("sleep", "60", timeout_s=0.1)

    def test_ended_by_a_signal(self):
        with pytest.raises(tools.ToolError, match="sh -c: ended by signal 15"):
            tools.run("sh", "-c", "kill $$")

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("Creating\nERROR: failed\nStack:\n at x", "ERROR: failed"),
            ("error: no context\n", "error: no context"),
            ("one\ntwo\n\n", "two"),
            ("", "failed"),
        ],
    )
    def test_the_line_that_says_what_is_wrong(self, text, line):
        assert tools.said(text) == line


ROLLOUT = {"namespace": "n", "kubeconfig": "/k", "context": "c", "revisions": {"auth": "1"}}


class TestRollout:
    def test_asks_the_cluster_meant(self, programs):
        programs["objects"].write_text(json.dumps({"items": []}))
        made = rollout._Provider().create(dict(ROLLOUT))
        assert made.outs == ROLLOUT
        (call,) = calls(programs)
        assert {"--namespace=n", "--kubeconfig=/k", "--context=c"} <= set(call.split())

    def test_only_another_revision_is_watched_again(self):
        provider = rollout._Provider()
        moved = {**ROLLOUT, "kubeconfig": "/elsewhere"}
        assert provider.diff("x", ROLLOUT, moved).changes is False
        assert provider.diff("x", ROLLOUT, {**moved, "revisions": {"auth": "2"}}).changes is True

    def test_what_is_hopeless_ends_it(self, programs):
        waiting = {"waiting": {"reason": "InvalidImageName", "message": "bad"}}
        pod = {
            "kind": "Pod",
            "metadata": {"labels": {"app.kubernetes.io/name": "auth"}},
            "status": {"containerStatuses": [{"image": "r/x:1", "state": waiting}]},
        }
        workload = {
            "kind": "Deployment",
            "metadata": {"name": "auth", "generation": 1},
            "spec": {},
        }
        programs["objects"].write_text(json.dumps({"items": [workload, pod]}))
        with pytest.raises(tools.ToolError, match=r"auth: InvalidImageName \(r/x:1\): bad"):
            rollout._Provider().create(dict(ROLLOUT))

    def test_in_the_end_it_says_what_the_cluster_says(self, programs, monkeypatch):
        monkeypatch.setattr(rollout, "_TIMEOUT_S", -1.0)
        workload = {"kind": "Deployment", "metadata": {"name": "auth", "generation": 1}, "spec": {}}
        event = {
            "kind": "Event",
            "type": "Warning",
            "reason": "ProvisioningFailed",
            "involvedObject": {"kind": "PersistentVolumeClaim", "name": "auth-data"},
            "message": "no\nroom",
        }
        probes = {**event, "reason": "Unhealthy", "lastTimestamp": "later"}
        programs["objects"].write_text(json.dumps({"items": [workload, event, probes]}))
        with pytest.raises(tools.ToolError, match=r"not started .*: auth \(auth-data: no room\)"):
            rollout._Provider().create(dict(ROLLOUT))


def test_a_kubeconfig_file_lies_in_the_clone():
    file = tools.kubeconfig_file("triptych-unit")
    assert file.parent == Path(tools.PROJECT_ROOT) / ".triptych" / "kubeconfig"
