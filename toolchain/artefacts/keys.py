"""Content keys: 12 hex digits over everything that goes into an artefact.

They depend on files of the clone alone, so that telling whether anything has to be built is quick
and needs neither network nor daemon. Debian's packages are those of the day of the build: to get
newer ones, delete the cache (docs/artefacts.md).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from shop.catalogue import SHAPES
from toolchain.artefacts import guest_image, recipes
from toolchain.sources import source_files
from toolchain.tools import TOOLS, is_built_from

_BUILDER = "toolchain/buildah.py"

NODE = "node"
NODE_FOLDER = "k8s/node"
NODE_IMAGES = "k8s/images"
#: The images inside the node, each of the tool of its name (`pause` is compiled from Kubernetes'
#: module): those that kubeadm asks for, which kindest/node brings along, that of the default
#: storage class, and those of the add-ons.
CONTROL_PLANE = ("kubernetes", "etcd", "coredns", "pause")
STORAGE = ("local-path-provisioner",)
ADD_ONS = ("metrics-server", "kube-router", "ingress")
#: All tools that go into the node, the longest to build first.
NODE_TOOLS = (
    *("kubernetes", "coredns", "ingress", "containerd", "etcd"),
    *("metrics-server", "kube-router", "crictl", "local-path-provisioner"),
)


def digest_files(
    files: Mapping[str, Path], *extra: str, texts: Mapping[str, str] | None = None
) -> str:
    """Return 12 hex digits over names, executable bits and contents, and over extra strings."""
    total = hashlib.sha256()
    for name, path in sorted(files.items()):
        executable = "x" if path.stat().st_mode & 0o100 else "-"
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{name}\0{executable}\0{content}\0".encode())
    for name, text in sorted((texts or {}).items()):
        total.update(f"\2{name}\0{text}\0".encode())
    for text in extra:
        total.update(b"\1" + text.encode())
    return total.hexdigest()[:12]


def _ours(root: Path, *names: str) -> dict[str, Path]:
    """Return files of the toolchain that decide what an artefact is like."""
    return {name: root / name for name in names}


def base_key(root: Path) -> str:
    """Return the key of the common base image."""
    return digest_files(_ours(root, "toolchain/artefacts/base.py", _BUILDER))


def stripe_mock_version(root: Path) -> str:
    """Return the pinned version of stripe-mock, from its go.mod."""
    text = (root / "toolchain/go/stripe-mock/go.mod").read_text()
    found = re.search(r"github\.com/stripe/stripe-mock (v\S+)", text)
    return found[1] if found else text


def image_key(root: Path, name: str) -> str:
    """Return the key of an image: its own files, and what it is built on."""
    extra = [base_key(root)]
    extra += [image_key(root, other) for other in recipes.built_on(root, name)]
    if name == "stripe-mock":
        extra.append(stripe_mock_version(root))
    return digest_files(recipes.shipped_files(root, name), *extra)


def guest_system_key(root: Path) -> str:
    """Return the key of what the guests of all shapes have in common: their packages."""
    copied, texts = guest_image.system_files(root)
    return digest_files(copied, base_key(root), guest_image.dockerfile(root), texts=texts)


def guest_key(root: Path, shape: str) -> str:
    """Return the key of a shape's guest disk with everything in it."""
    copied, texts = guest_image.shape_files(root, shape)
    names = ("toolchain/artefacts/guest_disk.py", "shop/guest/make-disk")
    return digest_files(
        {**copied, **_ours(root, *names)},
        guest_system_key(root),
        stripe_mock_version(root),
        *(image_key(root, name) for name in recipes.app_services(shape)),
        texts=texts,
    )


def node_key(root: Path) -> str:
    """Return the key of the node image: everything in it."""
    images = (f"{NODE_IMAGES}/{name}" for name in ("tools", *CONTROL_PLANE, *STORAGE, *ADD_ONS))
    # Of kind's module are the userland's own files.
    tools = [TOOLS[name] for name in (*NODE_TOOLS, "kind")]
    # Asked for at once: a stack wants to know quickly whether anything has changed.
    found = source_files(root, NODE_FOLDER, *images, *(tool.folder for tool in tools))
    files = {
        name: path
        for name, path in found.items()
        if name.startswith((f"{NODE_FOLDER}/", f"{NODE_IMAGES}/")) or is_built_from(name)
    }
    files.update(_ours(root, "toolchain/artefacts/node.py"))
    flags = (f"{tool.name} {tool.version} {tool.version_flag} {tool.also}" for tool in tools)
    return digest_files(files, base_key(root), *flags)


def source_keys(root: Path) -> dict[str, str]:
    """Return the key of each artefact as the clone's files stand now, by artefact name.

    A guest's name is `guest-` and its shape.
    """
    images = {name: image_key(root, name) for name in recipes.image_names()}
    guests = {f"guest-{shape}": guest_key(root, shape) for shape in SHAPES}
    return {**images, **guests, NODE: node_key(root)}
