"""What is asked of a cluster's API server, and what is done by it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from probe.errors import ProbeError
from shop import catalogue

# Only those who measure Kubernetes pay for the import of its client: it is imported where it is
# used.
if TYPE_CHECKING:
    from kubernetes.client import ApiClient

ANSWER_S: Final = 10.0
_EXEC_S: Final = 120
SERVICE_LABEL: Final = "app.kubernetes.io/name"
#: What a service counts, and the requests that are not a customer's.
_COUNTED: Final = re.compile(r"^http_requests_total\{(?P<labels>.*)\} (?P<value>[0-9.e+]+)$", re.M)
_UNCOUNTED: Final = ('route="/health', 'route="/metrics')


def connect(kubeconfig: Path | None, context: str) -> ApiClient:
    """Return a client; raise ProbeError if the kubeconfig can't be used."""
    from kubernetes import config
    from kubernetes.config.config_exception import ConfigException

    try:
        file = str(kubeconfig) if kubeconfig else None
        api: ApiClient = config.new_client_from_config(config_file=file, context=context)
        return api
    except (ConfigException, OSError, ValueError) as error:
        raise ProbeError(f"the kubeconfig cannot be used: {error}") from None


@contextmanager
def asking(what: str) -> Iterator[None]:
    """Turn whatever the client raises into one ProbeError that begins with ``what``."""
    from kubernetes.client import ApiException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except (ApiException, HTTPError, ValueError, KeyError, TypeError) as error:
        said = " ".join(str(error).split())
        raise ProbeError(f"{what}: {said[:300]}") from None


def pods(api: ApiClient, namespace: str | None) -> list[dict[str, Any]]:
    """Return pods as the API server has them; raise ProbeError if it does not answer."""
    from kubernetes import client

    core = client.CoreV1Api(api)
    listing: Callable[..., Any] = (
        partial(core.list_namespaced_pod, namespace)
        if namespace
        else core.list_pod_for_all_namespaces
    )
    with asking("the API server does not answer"):
        answer = listing(_preload_content=False, _request_timeout=ANSWER_S)
        return list(json.loads(answer.data)["items"])


def runtime(api: ApiClient) -> str:
    """Return what runs the nodes' containers; raise ProbeError if the API server does not say."""
    from kubernetes import client

    with asking("the API server does not answer"):
        nodes: Any = client.CoreV1Api(api).list_node(
            _preload_content=False, _request_timeout=ANSWER_S
        )
        found = {
            str(node["status"]["nodeInfo"]["containerRuntimeVersion"])
            for node in json.loads(nodes.data)["items"]
        }
        return ", ".join(sorted(found))


def delete_pod(api: ApiClient, namespace: str, name: str) -> None:
    """Delete a pod without grace; raise ProbeError if that is refused."""
    from kubernetes import client

    with asking(f"pod {name} could not be deleted"):
        client.CoreV1Api(api).delete_namespaced_pod(name, namespace, grace_period_seconds=0)


def execute(api: ApiClient, namespace: str, pod: str, command: list[str]) -> str:
    """Return what a command in a pod prints; raise ProbeError if it fails."""
    from kubernetes import client
    from kubernetes.stream import stream

    with asking(f"nothing can be run in pod {pod}"):
        # It takes the place of the client's way of asking, so the client is one of its own.
        core = client.CoreV1Api(client.ApiClient(api.configuration))
        session = stream(
            core.connect_get_namespaced_pod_exec,
            pod,
            namespace,
            command=command,
            stdout=True,
            stderr=True,
            stdin=False,
            tty=False,
            _preload_content=False,
        )
        session.run_forever(timeout=_EXEC_S)
        # In this order: reading everything gives up the channel that the exit code came on.
        code = session.returncode
        output = str(session.read_all())
        session.close()
    if code != 0:
        raise ProbeError(f"{pod}: {' '.join(output.split()[-20:]) or f'exit code {code}'}")
    return output


def requests_of(metrics: str) -> int:
    """Return how many requests a service says that it has answered, health checks apart."""
    return round(
        sum(
            float(found["value"])
            for found in _COUNTED.finditer(metrics)
            if not any(route in found["labels"] for route in _UNCOUNTED)
        )
    )


class ClusterReplicas:
    """A service's pods, whose number an autoscaler sees to."""

    def __init__(self, api: ApiClient, namespace: str, service: str) -> None:
        self._api = api
        self._namespace = namespace
        self._service = service
        self._least: int | None = None

    def _pods(self) -> list[Mapping[str, Any]]:
        """Return those that take requests."""
        return [
            pod
            for pod in pods(self._api, self._namespace)
            if (pod["metadata"].get("labels") or {}).get(SERVICE_LABEL) == self._service
            and not pod["metadata"].get("deletionTimestamp")
            and any(
                c["type"] == "Ready" and c["status"] == "True"
                for c in (pod.get("status") or {}).get("conditions") or ()
            )
        ]

    def ready(self) -> int:
        """Return how many pods take requests."""
        return len(self._pods())

    def hold(self, least: int) -> None:
        """Have the autoscaler keep so many at least."""
        if self._least is None:
            from kubernetes import client

            scaling = client.AutoscalingV2Api(self._api)
            with asking(f"{self._service} has no autoscaler that can be read"):
                found = scaling.read_namespaced_horizontal_pod_autoscaler(
                    self._service, self._namespace, _request_timeout=ANSWER_S
                )
            self._least = found.spec.min_replicas or 1
        self._set(least)

    def release(self) -> None:
        """Give the autoscaler its own lower bound back."""
        if self._least is not None:
            self._set(self._least)

    def _set(self, least: int) -> None:
        from kubernetes import client

        with asking(f"{self._service}'s autoscaler cannot be changed"):
            client.AutoscalingV2Api(self._api).patch_namespaced_horizontal_pod_autoscaler(
                self._service,
                self._namespace,
                {"spec": {"minReplicas": least}},
                _request_timeout=ANSWER_S,
            )

    def answered(self) -> dict[str, int]:
        """Return what each pod says that it has answered so far."""
        from kubernetes import client

        core = client.CoreV1Api(self._api)
        port = next(
            service.port
            for shape in catalogue.SHAPES
            for service in catalogue.services(shape)
            if service.name == self._service
        )
        found = {}
        for pod in self._pods():
            name = str(pod["metadata"]["name"])
            with asking(f"pod {name} does not say what it answered"):
                text = core.connect_get_namespaced_pod_proxy_with_path(
                    f"{name}:{port}", self._namespace, "metrics", _request_timeout=ANSWER_S
                )
            found[name] = requests_of(str(text))
        return found

    def lose_one(self) -> str:
        """Delete a pod without grace."""
        running = self._pods()
        if not running:
            raise ProbeError(f"{self._service} has no pod")
        name = str(running[-1]["metadata"]["name"])
        delete_pod(self._api, self._namespace, name)
        return name

    def close(self) -> None:
        """Close the connection."""
        self._api.close()
