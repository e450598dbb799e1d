"""Watching a deployment's pods until they run, so that an `up` which can't work says so.

Objects are accepted by the API server in milliseconds and for ever: an image that can't be pulled
or a quota that is used up would show nowhere. This waits as `must_run` does in Docker: until each
container has been started, not until it is ready, which is for the probe to time.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi import dynamic

from components.kubernetes import tools

TYPE: Final = "pulumi-python:dynamic/kubernetes:Rollout"
_PERIOD_S: Final = 1.0
#: Pulling all images from a registry over a slow line is in it.
_TIMEOUT_S: Final = 300.0
#: So often a container may end before it counts as failing: what it needs may come up later.
_RESTARTS: Final = 5
#: So long what may still change by itself is not yet called a failure: another controller's work,
#: a node that is about to be ready, the second try of a pull.
_PATIENCE_S: Final = 20.0
_HOPELESS: Final = ("InvalidImageName", "CreateContainerConfigError", "CreateContainerError")
_PULLS: Final = ("ErrImagePull", "ImagePullBackOff")


@dataclass(frozen=True, kw_only=True)
class RolloutArgs:
    """Arguments of ``Rollout``.

    ``kubeconfig`` is a file (empty: kubectl's own default), ``revisions`` says of each workload
    which one is meant: another revision is watched anew.
    """

    namespace: pulumi.Input[str]
    kubeconfig: pulumi.Input[str]
    context: pulumi.Input[str]
    revisions: pulumi.Input[Mapping[str, str]]


def state(objects: Iterable[Mapping[str, Any]], waited_s: float) -> tuple[list[str], str | None]:
    """Return which workloads still have to start, and what is hopeless in one line, if anything.

    ``objects`` are the namespace's Deployments, StatefulSets, Pods and Events.
    """
    pods: dict[str, list[Mapping[str, Any]]] = {}
    refusals: dict[str, str] = {}
    workloads = []
    for item in objects:
        if item["kind"] == "Event":
            if item.get("reason") == "FailedCreate":
                refusals[item["involvedObject"]["name"]] = item.get("message", "")
        elif item["kind"] == "Pod":
            if not item["metadata"].get("deletionTimestamp"):
                name = (item["metadata"].get("labels") or {}).get("app.kubernetes.io/name", "")
                pods.setdefault(name, []).append(item)
        else:
            workloads.append(item)
    pending = []
    for workload in workloads:
        name = workload["metadata"]["name"]
        own = pods.get(name, [])
        problem = _refused(workload, refusals) if not own and waited_s > _PATIENCE_S else None
        for pod in own:
            problem = problem or _failing(pod, waited_s)
        if problem:
            return [name], f"{name}: {problem}"
        if not _created(workload) or not own or not all(_started(pod) for pod in own):
            pending.append(name)
    return pending, None


def _created(workload: Mapping[str, Any]) -> bool:
    """Return whether the controller has made all pods of the newest revision."""
    status = workload.get("status") or {}
    wanted = workload["spec"].get("replicas", 1)
    seen = status.get("observedGeneration", 0) >= workload["metadata"]["generation"]
    return bool(seen and status.get("updatedReplicas", 0) >= wanted)


def _refused(workload: Mapping[str, Any], refusals: Mapping[str, str]) -> str | None:
    """Return why the API server lets no pod be made (a quota, a policy)."""
    for condition in (workload.get("status") or {}).get("conditions") or ():
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            return " ".join(condition.get("message", "its pods are refused").split())
    # A StatefulSet says so in an event alone.
    message = refusals.get(workload["metadata"]["name"])
    return " ".join(message.split()) if message else None


def _started(pod: Mapping[str, Any]) -> bool:
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    # One that has ended was started too; whether it comes up again is not a matter of this.
    return bool(statuses) and all(
        "running" in s["state"] or s.get("restartCount", 0) > 0 for s in statuses
    )


def _failing(pod: Mapping[str, Any], waited_s: float) -> str | None:
    status = pod.get("status") or {}
    for container in status.get("containerStatuses") or ():
        waiting = container["state"].get("waiting") or {}
        reason = waiting.get("reason", "")
        if reason in _HOPELESS or (reason in _PULLS and waited_s > _PATIENCE_S):
            message = " ".join(waiting.get("message", "").split())
            what = "its image can't be pulled" if reason in _PULLS else reason
            return f"{what} ({container['image']}): {message}"
        if reason == "CrashLoopBackOff" and container.get("restartCount", 0) >= _RESTARTS:
            ended = (container.get("lastState") or {}).get("terminated") or {}
            return f"ended {container['restartCount']} times, exit code {ended.get('exitCode')}"
    for condition in status.get("conditions") or ():
        unschedulable = condition["type"] == "PodScheduled" and condition["status"] == "False"
        # A new cluster's node takes its time to be ready.
        if unschedulable and waited_s > 6 * _PATIENCE_S:
            return f"no node for it: {condition.get('message', '')}"
    return None


def _last_words(objects: Iterable[Mapping[str, Any]]) -> str:
    """Return what the cluster has to say about it: the newest warning but of probes."""
    warnings = [
        event
        for event in objects
        if event["kind"] == "Event"
        and event.get("type") == "Warning"
        and event.get("reason") != "Unhealthy"
        and event["involvedObject"].get("kind") in ("Pod", "PersistentVolumeClaim")
    ]
    if not warnings:
        return ""
    newest = max(warnings, key=lambda event: str(event.get("lastTimestamp") or ""))
    words = " ".join(newest.get("message", "").split())
    return f" ({newest['involvedObject']['name']}: {words})"


class _Provider(dynamic.ResourceProvider):
    """kubectl, asked again and again."""

    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        """Wait until all is started."""
        _wait(props)
        return dynamic.CreateResult(id_=f"rollout-{props['namespace']}", outs=dict(props))

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> dynamic.DiffResult:
        """Watch again when another revision is meant."""
        return dynamic.DiffResult(
            changes=olds.get("revisions") != news["revisions"],
            replaces=["namespace"] if olds.get("namespace") != news["namespace"] else [],
        )

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> dynamic.UpdateResult:
        """Wait until all is started."""
        _wait(news)
        return dynamic.UpdateResult(outs=dict(news))


def _wait(props: Mapping[str, Any]) -> None:
    options = [f"--namespace={props['namespace']}"]
    if props.get("kubeconfig"):
        options.append(f"--kubeconfig={props['kubeconfig']}")
    if props.get("context"):
        options.append(f"--context={props['context']}")
    query = (
        "get",
        "deployments,statefulsets,pods,events",
        "--output=json",
        "--request-timeout=30s",
    )
    started_s = time.monotonic()
    while True:
        waited_s = time.monotonic() - started_s
        objects = json.loads(tools.run("kubectl", *query, *options))["items"]
        pending, problem = state(objects, waited_s)
        if problem:
            raise tools.ToolError(problem)
        if not pending:
            return
        if waited_s > _TIMEOUT_S:
            waiting = ", ".join(sorted(pending))
            raise tools.ToolError(
                f"not started after {_TIMEOUT_S:g} s: {waiting}{_last_words(objects)}"
            )
        time.sleep(_PERIOD_S)


class Rollout(dynamic.Resource, module="kubernetes", name="Rollout"):
    """That every pod has been started."""

    def __init__(
        self, name: str, args: RolloutArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(
            _Provider(),
            name,
            {
                "namespace": args.namespace,
                "kubeconfig": args.kubeconfig,
                "context": args.context,
                "revisions": args.revisions,
            },
            opts,
        )
