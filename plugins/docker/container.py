"""`docker:index/container:Container`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import docker.errors

from plugins.bridge import (
    Change,
    CheckFailure,
    Created,
    Entry,
    InitFailed,
    Operation,
    UserError,
)
from plugins.docker.container_request import (
    check,
    container_config,
    endpoint_config,
    updatable,
    upload_archive,
)
from plugins.docker.container_schema import INPUTS, OUTPUTS
from plugins.docker.container_state import state_of
from plugins.docker.daemon import DockerResource, remove_container, temporary_name
from plugins.docker.errors import cause, explained

_HEALTH_POLL_S = 0.1
_EXIT_CHECK_S = 0.1  # upstream's delay before it looks whether the container runs
_LOG_LINE_CHARS = 200


class Container(DockerResource):
    """A container.

    It is made under a temporary name and renamed once the journal has its id: so a container left
    by a killed run is known for certain, by its id or by the random part of that name.
    """

    token = "docker:index/container:Container"
    inputs = INPUTS
    outputs = OUTPUTS

    def check(
        self, op: Operation, inputs: dict[str, Any], old_inputs: Mapping[str, Any]
    ) -> list[CheckFailure]:
        """Check texts that have a form: durations, CPUs, ports, uploads."""
        return list(check(inputs))

    def adjust_diff(
        self,
        changes: list[Change],
        state: Mapping[str, Any],
        old_inputs: Mapping[str, Any],
        inputs: Mapping[str, Any],
    ) -> list[Change]:
        """Replace a container that stopped but must run: it should be pristine when started."""
        if state.get("exitCode") is not None and inputs.get("mustRun", True):
            changes = [*changes, Change("exitCode", "delete", replace=True)]
        return changes

    def create(self, op: Operation, inputs: dict[str, Any]) -> Created:
        """Make and start the container; one that could not be started is removed again."""
        name = inputs["name"]
        with explained(f"can't create the container {name}"):
            self._free_name(op, name)
            entry = op.begin(name)
            try:
                id = self._make(inputs, entry)
                if inputs.get("start", True):
                    self._start(id, inputs)
            except BaseException:
                self._discard(entry)
                raise
            return self._settle(op, id, inputs)

    def read(self, op: Operation, id: str, state: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the container as the daemon has it."""
        with explained(f"can't read the container {id[:12]}"):
            try:
                return state_of(self.client.inspect_container(id), state)
            except docker.errors.NotFound:
                return None

    def update(
        self, op: Operation, id: str, state: Mapping[str, Any], inputs: dict[str, Any]
    ) -> dict[str, Any]:
        """Change limits and the restart policy; the other inputs that need no new container."""
        with explained(f"can't update the container {inputs['name']}"):
            wanted = updatable(inputs)
            if wanted != updatable(_as_inputs(state)):
                url = self.client._url("/containers/{0}/update", id)
                self.client._raise_for_status(self.client._post_json(url, data=wanted))
            return self._settle(op, id, inputs).state

    def delete(self, op: Operation, id: str, state: Mapping[str, Any]) -> None:
        """Stop the container within its time of grace and remove it."""
        with explained(f"can't remove the container {state.get('name', id[:12])}"):
            if not state.get("attach"):
                try:
                    self.client.stop(id, timeout=state.get("destroyGraceSeconds") or 0)
                except docker.errors.NotFound:
                    return
            remove_container(self.client, id, volumes=state.get("removeVolumes", True))

    def _free_name(self, op: Operation, name: str) -> None:
        """Remove what killed runs left; a container that is not theirs is the user's."""
        entries = op.left_over(name)
        for entry in entries:
            self._discard(entry)
        try:
            found = self.client.inspect_container(name)
        except docker.errors.NotFound:
            return
        if found["Name"] != f"/{name}":
            return  # the daemon takes the beginning of an id for a name, too
        raise UserError(
            f"a container named {name} exists already and is not in this stack's state: "
            f"remove it (docker rm -f {name}) or import it "
            f"(pulumi import {self.token} {op.logical_name} {found['Id']})"
        )

    def _discard(self, entry: Entry) -> None:
        """Remove the container of an entry, and the entry."""
        remove_container(self.client, entry.id or temporary_name(entry))
        entry.drop()

    def _make(self, inputs: Mapping[str, Any], entry: Entry) -> str:
        client = self.client
        platform = inputs.get("platform")
        id: str = client.create_container_from_config(
            container_config(inputs),
            temporary_name(entry),
            platform if "/" in (platform or "") else None,
        )["Id"]
        entry.record(id)
        client.rename(id, entry.name)
        networks = inputs.get("networksAdvanced") or ()
        if networks and inputs.get("networkMode") == "bridge":
            client.disconnect_container_from_network(id, "bridge")
        for network in networks:
            body = {"Container": id, "EndpointConfig": endpoint_config(network)}
            url = client._url("/networks/{0}/connect", network["name"])
            client._raise_for_status(client._post_json(url, data=body))
        for upload in inputs.get("uploads") or ():
            self._upload(id, upload)
        return id

    def _upload(self, id: str, upload: Mapping[str, Any]) -> None:
        directory, archive = upload_archive(upload)
        try:
            self.client.put_archive(id, directory, archive)
        except docker.errors.NotFound as error:
            raise UserError(
                f"can't upload {upload['file']}: the image has no directory {directory}"
            ) from error
        except docker.errors.APIError as error:
            raise UserError(f"can't upload {upload['file']}: {cause(error)}") from error

    def _start(self, id: str, inputs: Mapping[str, Any]) -> None:
        self.client.start(id)
        if not inputs.get("mustRun", True) or inputs.get("attach"):
            return
        time.sleep(_EXIT_CHECK_S)
        run = self.client.inspect_container(id)["State"]
        if not run["Running"] and not run["Restarting"]:
            raise UserError(
                f"the container {inputs['name']} exited at once with code {run['ExitCode']}"
                f"{self._last_line(id)}"
            )

    def _settle(self, op: Operation, id: str, inputs: Mapping[str, Any]) -> Created:
        """Wait for what the program asked to wait for, and read the state."""
        failure = None
        logs = None
        if inputs.get("start", True):
            if inputs.get("wait"):
                failure = self._wait_healthy(op, id, inputs)
            if inputs.get("attach"):
                self.client.wait(id)
                if inputs.get("logs"):
                    logs = self.client.logs(id).decode(errors="replace")
        state = state_of(self.client.inspect_container(id), {**inputs, "containerLogs": logs})
        if failure is not None:
            raise InitFailed(id, state, failure)
        return Created(id, state)

    def _wait_healthy(self, op: Operation, id: str, inputs: Mapping[str, Any]) -> str | None:
        """Wait until the container is healthy; return why it is not."""
        name, limit_s = inputs["name"], inputs.get("waitTimeout", 60)
        deadline = time.monotonic() + limit_s
        while True:
            run = self.client.inspect_container(id)["State"]
            health = run.get("Health")
            if health is None:
                return f"the container {name} has no health check to wait for"
            if health["Status"] == "healthy":
                return None
            if not run["Running"] and not run["Restarting"]:
                code = run["ExitCode"]
                return f"the container {name} exited with code {code}{self._last_line(id)}"
            if time.monotonic() > deadline:
                break
            if op.cancelled.wait(_HEALTH_POLL_S):
                return f"the wait for the container {name} was cancelled"
        checks = health.get("Log") or [{}]
        output = " ".join(str(checks[-1].get("Output", "")).split())[:_LOG_LINE_CHARS]
        said = f"; its health check says: {output}" if output else ""
        return f"the container {name} is not healthy after {limit_s} s{said}"

    def _last_line(self, id: str) -> str:
        lines = self.client.logs(id, tail=1).decode(errors="replace").split()
        return f": {' '.join(lines)[:_LOG_LINE_CHARS]}" if lines else ""


def _as_inputs(state: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in state.items() if value is not None}
