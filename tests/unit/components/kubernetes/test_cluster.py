"""The cluster as a resource: what kind and docker are asked, with programs that only take notes."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from components.kubernetes import cluster, tools
from tests.support.programs import calls
from tests.support.pulumi_mocks import outs_of

PROPS = {
    "name": "triptych-unit",
    "config": "kind: Cluster\n",
    "image": "r/node:1",
    "network": "triptych-unit",
}


@pytest.fixture
def provider() -> cluster._Provider:
    return cluster._Provider()


class TestCluster:
    def test_create(self, programs: dict[str, Path], provider: cluster._Provider) -> None:
        made = provider.create(dict(PROPS))
        create = calls(programs)[0]
        assert create.startswith("kind create cluster --name triptych-unit --image r/node:1")
        assert create.endswith("[triptych-unit]")
        assert programs["stdin"].read_text() == PROPS["config"]
        assert made.id.startswith("triptych-unit-")
        outs = outs_of(made)
        assert outs["kubeconfig"] == "kubeconfig-content\n"
        assert outs["running"] is True
        assert {k: outs[k] for k in PROPS} == PROPS

    def test_each_cluster_is_another(
        self, programs: dict[str, Path], provider: cluster._Provider
    ) -> None:
        assert provider.create(dict(PROPS)).id != provider.create(dict(PROPS)).id

    def test_the_kubeconfig_is_for_its_user_alone_and_not_the_users_own(
        self, programs: dict[str, Path], provider: cluster._Provider
    ) -> None:
        provider.create(dict(PROPS))
        assert stat.S_IMODE(programs["kubeconfig"].stat().st_mode) == 0o600
        for call in calls(programs):
            if call.startswith(("kind create", "kind delete")):
                assert f"--kubeconfig {programs['kubeconfig']}" in call

    def test_what_fails_leaves_nothing(
        self, programs: dict[str, Path], provider: cluster._Provider
    ) -> None:
        programs["broken"].touch()
        with pytest.raises(tools.ToolError) as caught:
            provider.create(dict(PROPS))
        assert str(caught.value) == "kind create: ERROR: no luck"
        assert "kind delete cluster --name triptych-unit" in calls(programs)[-1]
        assert not programs["kubeconfig"].exists()

    def test_gone(self, programs: dict[str, Path], provider: cluster._Provider) -> None:
        made = provider.create(dict(PROPS))
        programs["ps"].write_text("")
        assert provider.read(made.id, outs_of(made)).id == ""
        assert not programs["kubeconfig"].exists()

    def test_stopped_is_started_again(
        self, programs: dict[str, Path], provider: cluster._Provider
    ) -> None:
        made = provider.create(dict(PROPS))
        programs["ps"].write_text("triptych-unit-control-plane\texited\n")
        read = provider.read("x", {**PROPS, "kubeconfig": "k", "running": True})
        assert read.id == "x"
        found = outs_of(read)
        assert found["running"] is False
        changed = provider.diff("x", found, dict(PROPS))
        assert (changed.changes, changed.replaces) == (True, [])
        updated = outs_of(provider.update("x", found, dict(PROPS)))
        assert any(
            c.startswith("docker start triptych-unit-control-plane") for c in calls(programs)
        )
        assert updated["running"] is True
        assert any(c.startswith("kubectl get --raw /readyz") for c in calls(programs))
        # The provider is told anew, once: what is read afterwards is no change.
        assert updated["kubeconfig"] != outs_of(made)["kubeconfig"]
        programs["ps"].write_text("triptych-unit-control-plane\trunning\n")
        assert provider.read("x", updated).outs == updated

    def test_nothing_changes_by_itself(
        self, programs: dict[str, Path], provider: cluster._Provider
    ) -> None:
        made = provider.create(dict(PROPS))
        read = provider.read(made.id, outs_of(made))
        assert read.outs == made.outs
        assert provider.diff(made.id, outs_of(read), dict(PROPS)).changes is False

    @pytest.mark.parametrize("key", ["name", "config", "image", "network"])
    def test_another_cluster(
        self, programs: dict[str, Path], provider: cluster._Provider, key: str
    ) -> None:
        made = provider.create(dict(PROPS))
        changed = provider.diff(made.id, outs_of(made), {**PROPS, key: "another"})
        assert changed.changes is True
        assert changed.replaces == [key]
        assert changed.delete_before_replace is True

    def test_a_lost_kubeconfig_file_is_written_again(
        self, programs: dict[str, Path], provider: cluster._Provider
    ) -> None:
        made = provider.create(dict(PROPS))
        programs["kubeconfig"].unlink()
        provider.read(made.id, outs_of(made))
        assert programs["kubeconfig"].read_text() == "kubeconfig-content\n"

    def test_delete(self, programs: dict[str, Path], provider: cluster._Provider) -> None:
        made = provider.create(dict(PROPS))
        provider.delete(made.id, outs_of(made))
        assert calls(programs)[-1].startswith("kind delete cluster --name triptych-unit")
        assert not programs["kubeconfig"].exists()

    def test_another_daemon(
        self, programs: dict[str, Path], provider: cluster._Provider, tmp_path: Path
    ) -> None:
        daemon = {**PROPS, "docker_host": "unix:///run/other.sock"}
        (tmp_path / "bin" / "kind").write_text(
            f'#!/bin/sh\necho "$DOCKER_HOST" > {tmp_path}/host\n'
        )
        provider.create(daemon)
        assert (tmp_path / "host").read_text() == "unix:///run/other.sock\n"
