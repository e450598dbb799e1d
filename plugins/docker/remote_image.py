"""`docker:index/remoteImage:RemoteImage`: an image pulled from a registry, or there already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import docker.errors

from plugins.bridge import Created, Operation, Schema, UserError, boolean, map_of, set_of, string
from plugins.docker.daemon import DockerResource
from plugins.docker.errors import explained
from plugins.docker.pull import find_image, pull_image
from plugins.docker.reference import Reference


class RemoteImage(DockerResource):
    """An image of a registry; pulled unless the daemon has it."""

    token = "docker:index/remoteImage:RemoteImage"
    autoname = None
    inputs: ClassVar[Schema] = {
        "name": string(required=True, force_new=True),
        "keepLocally": boolean(),
        "forceRemove": boolean(),
        "platform": string(force_new=True),
        "pullTriggers": set_of(string(), force_new=True),
        "triggers": map_of(string(), force_new=True),
    }
    outputs: ClassVar[Schema] = {"imageId": string(), "repoDigest": string()}

    def create(self, op: Operation, inputs: dict[str, Any]) -> Created:
        """Pull the image unless it is there; a pull trigger always asks the registry."""
        name = inputs["name"]
        with explained(f"can't get the image {name}"):
            found = find_image(self.client, name)
            if found is None or inputs.get("pullTriggers"):
                pull_image(self.provider, op, name, inputs.get("platform"))
                found = find_image(self.client, name)
            if found is None:
                raise UserError(f"can't get the image {name}: it is not there after the pull")
            state = self._state(found, inputs)
        return Created(state["id"], state)

    def read(self, op: Operation, id: str, state: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the image that the name stands for now."""
        # An id is the image's id and the name (upstream's form); an import may give the name.
        name = state.get("name") or id[len("sha256:") + 64 :] or id
        with explained(f"can't read the image {name}"):
            found = find_image(self.client, name)
        return None if found is None else self._state(found, {**state, "name": name})

    def update(
        self, op: Operation, id: str, state: Mapping[str, Any], inputs: dict[str, Any]
    ) -> dict[str, Any]:
        """Take over what concerns only the removal."""
        with explained(f"can't read the image {inputs['name']}"):
            found = find_image(self.client, inputs["name"])
        if found is None:
            raise UserError(f"the image {inputs['name']} is gone: run `pulumi refresh`")
        return self._state(found, inputs)

    def delete(self, op: Operation, id: str, state: Mapping[str, Any]) -> None:
        """Remove the image unless it is to be kept."""
        if state.get("keepLocally"):
            return
        with explained(f"can't remove the image {state['name']}"):
            try:
                self.client.remove_image(state["name"], force=bool(state.get("forceRemove")))
            except docker.errors.NotFound:
                return

    @staticmethod
    def _state(found: dict[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
        name = values["name"]
        repository = Reference.parse(name).repository
        digests = found.get("RepoDigests") or []
        own = [digest for digest in digests if digest.partition("@")[0] == repository]
        return {
            "id": found["Id"] + name,
            "name": name,
            "imageId": found["Id"],
            "repoDigest": (own or digests or [""])[0],
            "keepLocally": values.get("keepLocally"),
            "forceRemove": values.get("forceRemove"),
            "platform": values.get("platform"),
            "pullTriggers": values.get("pullTriggers") or [],
            "triggers": values.get("triggers"),
            "build": None,
        }
