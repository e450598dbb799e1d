"""`docker:index/image:Image`: an image built from a Dockerfile.

Like upstream, an image is rebuilt when its inputs change; `build.contextDigest`, added to them,
stands for the files. Deleting the resource keeps the image.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import docker.auth
import docker.errors

from plugins.bridge import (
    Change,
    CheckFailure,
    Created,
    Operation,
    Schema,
    Secret,
    UserError,
    boolean,
    list_of,
    map_of,
    object_of,
    string,
)
from plugins.docker.build_context import archive, base_images, context_digest
from plugins.docker.build_log import BuildLog
from plugins.docker.daemon import DockerResource
from plugins.docker.errors import explained
from plugins.docker.pull import find_image, pull_image
from plugins.docker.reference import DOCKER_HUB, Reference

_BUILDERS = {"BuilderV1": "1", "BuilderBuildKit": "2"}
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class Image(DockerResource):
    """An image built by the daemon and, unless told otherwise, pushed to its registry."""

    token = "docker:index/image:Image"
    autoname = None
    marks_defaults = False
    inputs: ClassVar[Schema] = {
        "imageName": string(required=True),
        "build": object_of(
            {
                "context": string(),
                "dockerfile": string(),
                "args": map_of(string()),
                "target": string(),
                "platform": string(),
                "network": string(),
                "addHosts": list_of(string()),
                "builderVersion": string(choices=tuple(_BUILDERS)),
                "cacheFrom": object_of({"images": list_of(string())}),
                "contextDigest": string(),
            }
        ),
        "buildOnPreview": boolean(),
        "registry": object_of({"server": string(), "username": string(), "password": string()}),
        "skipPush": boolean(),
    }
    outputs: ClassVar[Schema] = {
        "baseImageName": string(),
        "context": string(),
        "dockerfile": string(),
        "platform": string(),
        "registryServer": string(),
        "repoDigest": string(),
    }
    volatile = frozenset({"repoDigest"})

    def check(
        self, op: Operation, inputs: dict[str, Any], old_inputs: Mapping[str, Any]
    ) -> list[CheckFailure]:
        """Find the Dockerfile, and add the digest of the context and the default platform."""
        if isinstance(inputs.get("build"), dict | None):
            build = inputs.setdefault("build", {})
            context, dockerfile = _paths(build)
            if isinstance(context, str) and isinstance(dockerfile, str):
                failure = _missing(context, dockerfile)
                if failure is not None:
                    return [failure]
                build["contextDigest"] = context_digest(context, dockerfile)
            build.setdefault("platform", _host_platform())
        name = inputs["imageName"]
        if not inputs.get("skipPush") and isinstance(name, str):
            registry = Reference.parse(name).registry
            if not registry:
                reason = f"{name!r} names no registry to push to: write {DOCKER_HUB}/NAME:TAG"
                return [CheckFailure("imageName", f"{reason}, or set skipPush")]
        return []

    def adjust_diff(
        self,
        changes: list[Change],
        state: Mapping[str, Any],
        old_inputs: Mapping[str, Any],
        inputs: Mapping[str, Any],
    ) -> list[Change]:
        """Compare inputs with inputs, property by property: the state has no trace of a build."""
        changes = []
        for name in self.inputs:
            old, new = old_inputs.get(name), inputs.get(name)
            if name == "registry":
                # Credentials may change often and change nothing about the image.
                if (old or {}).get("server") != (new or {}).get("server"):
                    changes.append(Change(name, "update"))
            elif old != new:
                changes.append(
                    Change(name, "add" if old is None else "delete" if new is None else "update")
                )
        return changes

    def refresh_inputs(self, inputs: Mapping[str, Any], state: Mapping[str, Any]) -> dict[str, Any]:
        """Keep the inputs: the state has no trace of a build."""
        return dict(inputs) or {"imageName": state["imageName"]}

    def preview(self, op: Operation, inputs: dict[str, Any]) -> None:
        """Build during a preview when the program asks for it."""
        if inputs.get("buildOnPreview"):
            with explained(f"can't build the image {inputs['imageName']}"):
                self._build(op, inputs)

    def create(self, op: Operation, inputs: dict[str, Any]) -> Created:
        """Build and push."""
        name = inputs["imageName"]
        with explained(f"can't build the image {name}"):
            image_id = self._build(op, inputs)
        digest = image_id
        if not inputs.get("skipPush"):
            with explained(f"can't push the image {name}"):
                digest = self._push(op, inputs)
        context, dockerfile = _paths(inputs.get("build") or {})
        state = {
            "__inputs": Secret(inputs),
            "baseImageName": name,
            "context": context,
            "dockerfile": os.path.relpath(dockerfile, context),
            "imageName": name,
            "platform": (inputs.get("build") or {}).get("platform", ""),
            "registryServer": (inputs.get("registry") or {}).get("server", ""),
            "repoDigest": digest,
        }
        return Created(name, state)

    def read(self, op: Operation, id: str, state: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the state as it is, or None when a local image is gone.

        An image in a registry need not be with the daemon.
        """
        known = dict(state) or {"imageName": id, "baseImageName": id}
        inputs = known.get("__inputs") or {}
        known["__inputs"] = Secret(inputs)
        if inputs.get("skipPush"):
            with explained(f"can't read the image {id}"):
                try:
                    self.client.inspect_image(known["imageName"])
                except docker.errors.ImageNotFound:
                    return None
        return known

    def update(
        self, op: Operation, id: str, state: Mapping[str, Any], inputs: dict[str, Any]
    ) -> dict[str, Any]:
        """Build and push again."""
        return self.create(op, inputs).state

    def delete(self, op: Operation, id: str, state: Mapping[str, Any]) -> None:
        """Keep the image, as upstream does."""

    def _build(self, op: Operation, inputs: Mapping[str, Any]) -> str:
        """Build the image and return its id."""
        build = inputs.get("build") or {}
        context, dockerfile = _paths(build)
        name = inputs["imageName"]
        for base in base_images(dockerfile, build.get("args") or {}):
            # BuildKit asks for credentials over a session, which this client does not have.
            if find_image(self.client, base) is None:
                pull_image(self.provider, op, base, build.get("platform"))
        body, dockerfile_name = archive(context, dockerfile)
        parameters = {
            "version": _BUILDERS[build.get("builderVersion", "BuilderBuildKit")],
            "t": name,
            "dockerfile": dockerfile_name,
            "buildargs": json.dumps(build.get("args") or {}),
            "target": build.get("target"),
            "platform": build.get("platform"),
            "networkmode": build.get("network"),
            "extrahosts": ",".join(build.get("addHosts") or ()) or None,
            "cachefrom": json.dumps((build.get("cacheFrom") or {}).get("images") or []),
            "rm": "1",
            "forcerm": "1",
        }
        headers = {"Content-Type": "application/x-tar"}
        auth: dict[str, Any] = docker.auth.load_config().get_all_credentials()  # type: ignore[no-untyped-call]
        if auth:
            headers["X-Registry-Config"] = docker.auth.encode_header(auth).decode()
        op.status(f"Building {name}")
        client = self.client
        # docker-py's build() knows neither the builder's version nor a ready-made context stream.
        with body:
            response = client._post(
                client._url("/build"), data=body, params=parameters, headers=headers, stream=True
            )
        client._raise_for_status(response)
        log = BuildLog(build.get("args") or {})
        for line in client._stream_helper(response, decode=True):
            if op.cancelled.is_set():
                response.close()
                raise UserError(f"the build of {name} was cancelled")
            shown = log.add(line)
            if shown:
                op.status(shown)
        if log.error is not None:
            raise UserError(f"can't build the image {name}: {log.error}")
        image_id: str = client.inspect_image(name)["Id"]
        return image_id

    def _push(self, op: Operation, inputs: Mapping[str, Any]) -> str:
        """Push the image and return its digest in the registry."""
        name = inputs["imageName"]
        reference = Reference.parse(name)
        registry = inputs.get("registry") or {}
        auth = None
        if registry.get("username") and registry.get("password"):
            auth = {"username": registry["username"], "password": registry["password"]}
        auth = auth or self.provider.registry_auth(reference.registry)
        op.status(f"Pushing {name}")
        lines = self.client.push(
            reference.repository,
            tag=reference.tag or "latest",
            stream=True,
            decode=True,
            auth_config=auth,
        )
        for line in lines:
            if op.cancelled.is_set():
                raise UserError(f"the push of {name} was cancelled")
            if "error" in line:
                raise UserError(f"can't push the image {name}: {' '.join(line['error'].split())}")
        digests = self.client.inspect_image(name).get("RepoDigests") or [""]
        own = [digest for digest in digests if digest.startswith(f"{reference.repository}@")]
        return str((own or digests)[0])


def _paths(build: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return the context and the Dockerfile, both relative to the working directory."""
    context = build.get("context", ".")
    default = str(Path(context, "Dockerfile")) if isinstance(context, str) else context
    return context, build.get("dockerfile", default)


def _missing(context: str, dockerfile: str) -> CheckFailure | None:
    if not Path(context).is_dir():
        return CheckFailure("build.context", f"there is no directory {context}")
    if Path(dockerfile).is_file():
        return None
    inside = Path(context, dockerfile)
    hint = f": did you mean {inside}?" if inside.is_file() else ""
    return CheckFailure("build.dockerfile", f"there is no Dockerfile {dockerfile}{hint}")


def _host_platform() -> str:
    machine = platform.machine()
    return f"linux/{_ARCHITECTURES.get(machine, machine)}"
