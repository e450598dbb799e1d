"""Manifests of add-ons (``k8s/addons/*.yaml``) as Pulumi resources.

One resource per object, typed by what the object says it is. Not the SDK's ``yaml`` module: its
components ask the provider while the program runs, which fails as long as the cluster that the
provider is for does not exist.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pulumi
import yaml

#: What is there already, of a run whose state was lost, is taken over instead of being a conflict.
TAKE_OVER: Final = {"pulumi.com/patchForce": "true"}
#: Readiness is for the probe to time.
SKIP_AWAIT: Final = {"pulumi.com/skipAwait": "true"}


def objects(files: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a folder's manifests, in the order of file names."""
    for file in sorted(files.glob("*.yaml")):
        for document in yaml.safe_load_all(file.read_text(encoding="utf-8")):
            if document:
                yield document


def token(manifest: Mapping[str, Any]) -> str:
    """Return the type by which the provider knows an object."""
    version = manifest["apiVersion"]
    return f"kubernetes:{version if '/' in version else f'core/{version}'}:{manifest['kind']}"


def declare(
    name: str,
    manifest: Mapping[str, Any],
    labels: Mapping[str, str],
    opts: pulumi.ResourceOptions,
) -> pulumi.Resource:
    """Declare one object; its Pulumi name is made of ``name`` and its own kind and name."""
    metadata = dict(manifest["metadata"])
    metadata["labels"] = {**(metadata.get("labels") or {}), **labels}
    metadata["annotations"] = {**TAKE_OVER, **SKIP_AWAIT, **(metadata.get("annotations") or {})}
    own = f"{name}-{manifest['kind'].lower()}-{metadata['name']}".replace(":", "-")
    if "namespace" in metadata:
        own += f"-{metadata['namespace']}"
    return pulumi.CustomResource(token(manifest), own, {**manifest, "metadata": metadata}, opts)
