"""The rollout: what it waits for, and when it gives up."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from components.kubernetes import rollout, tools
from tests.support.programs import calls

ROLLOUT = {"namespace": "n", "kubeconfig": "/k", "context": "c", "revisions": {"auth": "1"}}


class TestRolloutResource:
    def test_asks_the_cluster_meant(self, programs: dict[str, Path]) -> None:
        programs["objects"].write_text(json.dumps({"items": []}))
        made = rollout._Provider().create(dict(ROLLOUT))
        assert made.outs == ROLLOUT
        (call,) = calls(programs)
        assert {"--namespace=n", "--kubeconfig=/k", "--context=c"} <= set(call.split())

    def test_only_another_revision_is_watched_again(self) -> None:
        provider = rollout._Provider()
        moved = {**ROLLOUT, "kubeconfig": "/elsewhere"}
        assert provider.diff("x", ROLLOUT, moved).changes is False
        assert provider.diff("x", ROLLOUT, {**moved, "revisions": {"auth": "2"}}).changes is True

    def test_what_is_hopeless_ends_it(self, programs: dict[str, Path]) -> None:
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

    def test_in_the_end_it_says_what_the_cluster_says(
        self, programs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
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


def pod(name: str, state: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    labels = {"app.kubernetes.io/name": name}
    status = {"containerStatuses": [{"image": "r/x:1", "state": state, **more}]}
    return {"kind": "Pod", "metadata": {"name": f"{name}-1", "labels": labels}, "status": status}


def workload(
    name: str,
    *,
    kind: str = "Deployment",
    updated: int = 1,
    generation: int = 1,
    observed: int = 1,
    conditions: Sequence[Mapping[str, str]] = (),
) -> dict[str, Any]:
    return {
        "kind": kind,
        "metadata": {"name": name, "generation": generation},
        "spec": {"replicas": 1},
        "status": {
            "updatedReplicas": updated,
            "observedGeneration": observed,
            "conditions": list(conditions),
        },
    }


RUNNING = {"running": {"startedAt": "now"}}


class TestRollout:
    def test_running_is_enough(self) -> None:
        assert rollout.state([workload("auth"), pod("auth", RUNNING)], 0) == ([], None)

    @pytest.mark.parametrize(
        "objects",
        [
            [workload("auth")],
            [workload("auth", updated=0), pod("auth", RUNNING)],
            [workload("auth", generation=2), pod("auth", RUNNING)],
            [workload("auth"), pod("auth", {"waiting": {"reason": "ContainerCreating"}})],
            [workload("auth"), {**pod("auth", RUNNING), "status": {}}],
        ],
    )
    def test_not_yet(self, objects: list[dict[str, Any]]) -> None:
        assert rollout.state(objects, 0) == (["auth"], None)

    def test_a_pod_that_goes_does_not_count(self) -> None:
        going = pod("auth", {"waiting": {"reason": "ImagePullBackOff"}})
        going["metadata"]["deletionTimestamp"] = "now"
        assert rollout.state([workload("auth"), going, pod("auth", RUNNING)], 99) == ([], None)

    @pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff"])
    def test_an_image_that_can_not_be_pulled(self, reason: str) -> None:
        waiting = pod("auth", {"waiting": {"reason": reason, "message": "not\nfound"}})
        assert rollout.state([workload("auth"), waiting], 1)[1] is None
        _, problem = rollout.state([workload("auth"), waiting], 60)
        assert problem == "auth: its image can't be pulled (r/x:1): not found"

    def test_what_is_hopeless_is_told_at_once(self) -> None:
        waiting = pod("auth", {"waiting": {"reason": "InvalidImageName", "message": "bad"}})
        _, problem = rollout.state([workload("auth"), waiting], 0)
        assert problem is not None
        assert problem.startswith("auth: InvalidImageName")

    def test_an_exhausted_quota(self) -> None:
        failure = {
            "type": "ReplicaFailure",
            "status": "True",
            "message": 'pods "auth-1" is forbidden: exceeded quota: small',
        }
        _, problem = rollout.state([workload("auth", updated=0, conditions=[failure])], 60)
        assert problem == 'auth: pods "auth-1" is forbidden: exceeded quota: small'

    def test_an_exhausted_quota_of_a_stateful_set(self) -> None:
        event = {
            "kind": "Event",
            "reason": "FailedCreate",
            "involvedObject": {"name": "postgres"},
            "message": "exceeded quota: small",
        }
        stateful = workload("postgres", kind="StatefulSet", updated=0)
        assert rollout.state([stateful, event], 60)[1] == "postgres: exceeded quota: small"

    def test_a_container_that_ends_again_and_again(self) -> None:
        more = {"restartCount": 6, "lastState": {"terminated": {"exitCode": 2}}}
        crashing = pod("auth", {"waiting": {"reason": "CrashLoopBackOff"}}, **more)
        _, problem = rollout.state([workload("auth"), crashing], 60)
        assert problem == "auth: ended 6 times, exit code 2"

    def test_no_node_for_it(self) -> None:
        nowhere = {**pod("auth", RUNNING)}
        nowhere["status"] = {
            "conditions": [
                {"type": "PodScheduled", "status": "False", "message": "0/1 nodes: memory"}
            ]
        }
        assert rollout.state([workload("auth"), nowhere], 30)[1] is None
        _, problem = rollout.state([workload("auth"), nowhere], 300)
        assert problem == "auth: no node for it: 0/1 nodes: memory"
