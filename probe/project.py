"""The project that is measured: where it is, its environment and what was built of it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from probe.errors import ProbeError
from shop import catalogue
from toolchain.paths import Paths

ROOT: Final = Path(__file__).resolve().parent.parent
#: Where stacks put the kubeconfig files of their own clusters, named after the cluster.
KUBECONFIGS: Final = Paths.find(ROOT).kubeconfigs


def environment(root: Path = ROOT) -> dict[str, str]:
    """Return what ``.triptych/env`` exports beyond this process's own environment.

    The file is made for a shell (``. .triptych/env``), so a shell reads it.
    """
    path = root / ".triptych" / "env"
    if not path.exists():
        raise ProbeError("this clone is not set up yet: run `make build` first")
    result = subprocess.run(
        ["/bin/sh", "-c", '. "$1" && exec env -0', "sh", str(path)],
        capture_output=True,
        check=False,
        cwd=root,
    )
    if result.returncode != 0:
        last = result.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise ProbeError(f"{path} cannot be read: {' '.join(last)}")
    found = dict(
        entry.split("=", 1) for entry in result.stdout.decode().split("\0") if "=" in entry
    )
    return {k: v for k, v in found.items() if os.environ.get(k) != v and k not in ("_", "SHLVL")}


def artefacts(root: Path = ROOT) -> dict[str, Any]:
    """Return ``.triptych/artefacts.json``; empty when nothing has been built."""
    path = root / ".triptych" / "artefacts.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ProbeError(f"{path} is damaged ({error}): run `make build` again") from None
    return dict(data)


def images_of(artefacts: Mapping[str, Any], shape: str) -> dict[str, dict[str, Any]]:
    """Return what is recorded of the images that a shape runs, by the image's name."""
    built = artefacts.get("images", {})
    wanted = dict.fromkeys(service.image for service in catalogue.services(shape))
    return {name: built[name] for name in wanted if name in built}


def cluster_images_of(artefacts: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what is recorded of the images that a kind cluster of ours is made of, by name."""
    node = (artefacts.get("kubernetes") or {}).get("node")
    registry = artefacts.get("images", {}).get("registry")
    found = {"node": node, "registry": registry}
    return {name: dict(image) for name, image in found.items() if image}


def guest_of(artefacts: Mapping[str, Any], shape: str) -> dict[str, Any]:
    """Return what is recorded of the guest disk with a shape in it; empty if there is none."""
    return dict((artefacts.get("guests") or {}).get(shape) or {})


def tools(root: Path = ROOT) -> dict[str, str]:
    """Return the tools' versions as ``make setup`` noted them, for the manifest."""
    try:
        data = json.loads((root / ".triptych" / "tools.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    entries = data.get("tools", data) if isinstance(data, dict) else {}
    found = {}
    if isinstance(entries, dict):
        for name, entry in entries.items():
            if isinstance(entry, dict) and "version" in entry:
                found[name] = f"{entry['version']} ({entry.get('source', 'unknown source')})"
    return found
