"""The node image of the Kubernetes model: a userland, our settings, and the images of a cluster.

The userland is kindest/node where that can be pulled, else one of our own, made of Debian bookworm,
kind's files from its Go module, and Kubernetes' programs. What images are inside the node comes
from the binaries of `tools.py`; the node's containerd has them all, so that a cluster needs no
registry to come up.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from toolchain import upstream
from toolchain.artefacts import base as common_base
from toolchain.artefacts import recipes, registry
from toolchain.artefacts.images import BaseImage, Image
from toolchain.artefacts.keys import (
    ADD_ONS,
    CONTROL_PLANE,
    NODE,
    NODE_FOLDER,
    NODE_IMAGES,
    NODE_TOOLS,
    STORAGE,
    base_key,
    digest_files,
    node_key,
)
from toolchain.buildah import Buildah
from toolchain.errors import ToolchainError
from toolchain.files import write_text
from toolchain.paths import Paths
from toolchain.sources import source_files
from toolchain.steps import Step, StepContext, StepError
from toolchain.tools import TOOLS, module_folder, tool_dir

STEP = "image-node"
#: What is built for the node image alone.
STEPS = ("node-debian", STEP)
#: The userland: what kind 0.33 itself takes.
KINDEST = (
    "docker.io/kindest/node:v1.37.0"
    "@sha256:a1ed56cfb0e7b93589bdf97c8cd566405a265939e3620fc4f5de89adff580ae5"
)
PULL_TIMEOUT_S = 900.0
#: `build` in it: our own userland, even where kindest/node can be pulled.
CHOICE_VARIABLE = "TRIPTYCH_NODE"

_SUITE = "bookworm"
_USERLAND = "node-userland"
_DEBIAN = "node-debian"

#: What the names of images begin with that nobody but a node has.
PREFIX = "triptych.invalid"
_OWN_BINARIES = ("containerd", "crictl")


@dataclass(frozen=True)
class Userland:
    """What a node is built on: `source` is `built` or `kindest/node`."""

    ref: str
    digest: str
    source: str


@dataclass(frozen=True)
class Node(Image):
    """A built node image: of which Kubernetes, and on what userland."""

    version: str = ""
    source: str = ""


def _userland_key(root: Path) -> str:
    name = f"{NODE_FOLDER}/userland/packages"
    return digest_files({name: root / name}, base_key(root), KINDEST, _SUITE)


def read_node(paths: Paths) -> Node | None:
    """Return the node image as the clone's sources stand; None unless the registry has it."""
    try:
        text = (paths.artefacts / f"{NODE}-{node_key(paths.root)}.json").read_text()
        node = Node(**json.loads(text))
    except (OSError, ValueError, TypeError):
        return None
    return node if registry.manifest(NODE, node.digest) else None


def _read_userland(paths: Paths) -> Userland | None:
    try:
        text = (paths.artefacts / f"{_DEBIAN}-{_userland_key(paths.root)}.json").read_text()
        found = Userland(**json.loads(text))
    except (OSError, ValueError, TypeError):
        return None
    return found if registry.manifest(_DEBIAN, found.digest) else None


def kindest_is_had() -> str:
    """Say why what only a userland of our own needs is not needed; empty if it is."""
    if os.environ.get(CHOICE_VARIABLE) == "build" or not upstream.images_reachable():
        return ""
    return "not needed: kindest/node is pulled"


def packages(text: str) -> list[str]:
    """Return the Debian packages named in the file `packages`."""
    return [line.strip() for line in text.splitlines() if line.strip() and line[0] != "#"]


def steps(paths: Paths, base: str, have_base: Callable[[Paths], BaseImage]) -> Sequence[Step]:
    """Return the steps that build the node image.

    `base` is the step of the common base image, which `have_base` gives after it.
    """
    return [_debian_step(paths), _node_step(paths, base, have_base)]


def _debian_step(paths: Paths) -> Step:
    def is_done() -> bool | str:
        if read_node(paths):
            return "in the node image"
        found = _read_userland(paths)
        return found is not None and found.source

    async def run(context: StepContext) -> None:
        buildah = await Buildah.of(context, paths)
        key = _userland_key(paths.root)
        ref = registry.reference(_DEBIAN, key)
        if await context.thread(kindest_is_had):
            context.say("pulling kindest/node")
            source = "kindest/node"
            try:
                argv = buildah.locked(*buildah.command, "pull", "--quiet", KINDEST)
                await context.run(*argv, env=buildah.environment, timeout_s=PULL_TIMEOUT_S)
            except StepError as error:
                raise StepError(
                    "kindest/node can't be pulled",
                    f"try again, or set {CHOICE_VARIABLE}=build to build a node instead",
                ) from error
            await buildah.run(context, "tag", KINDEST, ref)
        else:
            source = "built"
            await _bootstrap(context, buildah, paths, ref)
        await buildah.push(context, ref)
        pushed = await context.thread(registry.manifest, _DEBIAN, key)
        if pushed is None:
            raise StepError(f"the registry does not have {ref} after the push", "see its log")
        found = Userland(ref, pushed.digest, source)
        write_text(paths.artefacts / f"{_DEBIAN}-{key}.json", json.dumps(asdict(found)) + "\n")
        context.conclude(source)

    needs = ("buildah", "registry", "debian-packages")
    return Step(_DEBIAN, run, needs, is_done, detail="Debian for the node", heavy=True)


async def _bootstrap(context: StepContext, buildah: Buildah, paths: Paths, ref: str) -> None:
    """Make an image of Debian bookworm with what a node needs of it."""
    wanted = packages((paths.root / NODE_FOLDER / "userland/packages").read_text())
    context.say(f"Debian {_SUITE} for the node")
    with recipes.build_directory() as build:
        code = await context.run(
            "mmdebstrap",
            *("--variant=minbase", f"--mode={'root' if os.geteuid() == 0 else 'auto'}"),
            *("--format=tar", "--quiet", f"--include={','.join(wanted)}", *common_base._OPTIONS),
            *(_SUITE, build / "base.tar"),
            check=False,
        )
        if code:
            raise StepError(
                f"mmdebstrap exited with {code}",
                "Debian's mirror was not reached or broke off, or the disk is full; "
                "see the log and run the same command again",
            )
        write_text(build / "Dockerfile", "FROM scratch\nADD base.tar /\n")
        await buildah.build(context, build, ref, arguments={}, final=False)


def _node_step(paths: Paths, base: str, have_base: Callable[[Paths], BaseImage]) -> Step:
    def is_done() -> bool | str:
        node = read_node(paths)
        return node is not None and _weight(node)

    async def run(context: StepContext) -> None:
        common = await context.thread(have_base, paths)
        context.conclude(_weight(await _build(context, paths, common)))

    return Step(
        STEP,
        run,
        (base, _DEBIAN, "kind", *NODE_TOOLS),
        is_done,
        detail="node of Kubernetes",
        heavy=True,
    )


def _weight(node: Node) -> str:
    unpacked, shipped = node.unpacked_bytes / 1e6, node.shipped_bytes / 1e6
    return f"{node.version} ({node.source}), {unpacked:.0f} MB, {shipped:.0f} MB shipped"


async def _build(context: StepContext, paths: Paths, common: BaseImage) -> Node:
    started_s = time.monotonic()
    buildah = await Buildah.of(context, paths)
    userland = await context.thread(_read_userland, paths)
    if userland is None:
        raise StepError("Debian for the node has left the registry", "run the same command again")
    key = node_key(paths.root)
    own = userland.source == "built"
    kubernetes = tool_dir(paths, "kubernetes")
    refs: dict[str, tuple[str, ...]]
    refs = {name: (f"{PREFIX}/{name}:{TOOLS[name].version}",) for name in (*STORAGE, *ADD_ONS)}
    wanted: tuple[str, ...] = (*STORAGE, *ADD_ONS)
    version = KINDEST.partition(":v")[2].partition("@")[0]
    if own:
        wanted = (*CONTROL_PLANE, *wanted)
        version = TOOLS["kubernetes"].version
        listed = await context.output(
            kubernetes / "kubeadm", "config", "images", "list", f"--kubernetes-version=v{version}"
        )
        refs.update(control_plane_refs(listed.split()))
    with recipes.build_directory() as build:
        layout = build / "layout"
        await _images(context, buildah, paths, common, {n: refs[n] for n in wanted}, layout)
        base_ref = userland.ref
        if own:
            context.say("node: its userland")
            base_ref = f"localhost/triptych/{_USERLAND}:{key}"
            await _userland(context, buildah, paths, userland.ref, base_ref)
        context.say("node: images into its store")
        files = _below(paths.root, NODE_FOLDER, leave="userland/")
        await context.thread(recipes.assemble, build, files)
        ref = registry.reference(NODE, key)
        await _commit(context, buildah, build, ref, base_ref)
    context.say("node: pushing")
    await buildah.push(context, ref)
    pushed = await context.thread(registry.manifest, NODE, key)
    if pushed is None:
        raise StepError(f"the registry does not have {ref} after the push", "see its log")
    await buildah.run(context, "rmi", ref)
    size = await context.thread(registry.unpacked_bytes, NODE, pushed.layers)
    node = Node(
        ref=ref,
        digest=pushed.digest,
        image_id=pushed.image_id,
        shipped_bytes=pushed.shipped_bytes,
        unpacked_bytes=size,
        own_bytes=size,
        build_s=round(time.monotonic() - started_s, 1),
        version=version,
        source=userland.source,
    )
    write_text(paths.artefacts / f"{NODE}-{key}.json", json.dumps(asdict(node)) + "\n")
    return node


async def _commit(
    context: StepContext, buildah: Buildah, directory: Path, ref: str, userland: str
) -> None:
    """Build the node from its userland, as one layer that the builder does not keep.

    Nearly all of it is one step, which takes seconds and would stay there, 700 MB, each time.
    """
    words: list[str | Path] = ["--isolation", "chroot", "--format", "oci", "--layers=false"]
    words += ["--force-rm", "--pull=false", "--tls-verify=false", "--timestamp", "0"]
    words += ["--tag", ref, "--build-arg", f"USERLAND={userland}", directory]
    await buildah.run(context, "build", *words)


def control_plane_refs(listed: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the names that kubeadm gives our images, from what it lists.

    The programs of Kubernetes are one image, which has all their names.
    """
    found: dict[str, tuple[str, ...]] = {name: () for name in CONTROL_PLANE}
    for ref in listed:
        last = ref.rpartition("/")[2].partition(":")[0]
        name = "kubernetes" if last.startswith("kube-") else last
        if name not in found:
            raise ToolchainError(f"kubeadm wants an image that we have not: {ref}")
        found[name] = (*found[name], ref)
    if () in found.values():
        raise ToolchainError("kubeadm does not name all images of the control plane")
    return found


def _below(root: Path, folder: str, leave: str = "\0") -> dict[str, Path]:
    start = len(folder) + 1
    found = {name[start:]: path for name, path in source_files(root, folder).items()}
    return {name: path for name, path in found.items() if not name.startswith(leave)}


async def _images(
    context: StepContext,
    buildah: Buildah,
    paths: Paths,
    common: BaseImage,
    wanted: Mapping[str, tuple[str, ...]],
    layout: Path,
) -> None:
    """Build the images that are inside the node, into the OCI layout `layout`."""
    tools = f"localhost/triptych/node-tools:{node_key(paths.root)}"
    context.say("node: image tools")
    with recipes.build_directory() as build:
        files = _below(paths.root, f"{NODE_IMAGES}/tools")
        await context.thread(recipes.assemble, build, files)
        await buildah.build(context, build, tools, arguments={"BASE": common.ref})
    start_layout(layout)
    for name, refs in wanted.items():
        context.say(f"node: image {name}")
        ref = f"localhost/triptych/node-{name}:{node_key(paths.root)}"
        with recipes.build_directory() as scratch, recipes.build_directory() as build:
            files = _below(paths.root, f"{NODE_IMAGES}/{name}")
            if name == "pause":
                files[name] = await _pause(context, paths, refs[0], scratch / name)
            else:
                files[name] = tool_dir(paths, name) / TOOLS[name].binary
            await context.thread(recipes.assemble, build, files)
            await buildah.build(context, build, ref, arguments={"TOOLS": tools})
            # As a directory: only there layers stay as they are, which a node unpacks sooner.
            pushed = scratch / "pushed"
            await buildah.run(context, "push", "--quiet", "-D", ref, f"dir:{pushed}")
            await context.run(*buildah.as_root, "chmod", "-R", "a+rwX", pushed)
            await context.thread(add_to_layout, layout, pushed, refs)


async def _pause(context: StepContext, paths: Paths, ref: str, into: Path) -> Path:
    """Compile what holds a pod's namespaces, which Kubernetes has in C, in its module."""
    module = await module_folder(
        context, paths.root / TOOLS["kubernetes"].folder, "k8s.io/kubernetes"
    )
    version = ref.rpartition(":")[2]
    source = module / "build/pause/linux/pause.c"
    await context.run("gcc", "-static", "-Os", "-s", f"-DVERSION={version}", "-o", into, source)
    return into


async def _userland(
    context: StepContext, buildah: Buildah, paths: Paths, debian: str, ref: str
) -> None:
    """Build a node's userland of our own."""
    kind = await module_folder(context, paths.root / TOOLS["kind"].folder, "sigs.k8s.io/kind")
    theirs = kind / "images/base/files"
    files = _below(paths.root, f"{NODE_FOLDER}/userland")
    for path in theirs.rglob("*"):
        if path.is_file():
            files[f"kind/{path.relative_to(theirs)}"] = path
    files["kubernetes"] = tool_dir(paths, "kubernetes") / "kubernetes"
    for name in _OWN_BINARIES:
        tool = TOOLS[name]
        for binary in (tool.binary, *(other for other, _ in tool.also)):
            files[f"bin/{binary}"] = tool_dir(paths, name) / binary
    with recipes.build_directory() as build:
        texts = {"version": f"v{TOOLS['kubernetes'].version}"}
        await context.thread(recipes.assemble, build, files, texts)
        await buildah.build(context, build, ref, arguments={"DEBIAN": debian})


def start_layout(layout: Path) -> None:
    """Make an OCI layout without images."""
    (layout / "blobs/sha256").mkdir(parents=True)
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    _write_index(layout, [])


def add_to_layout(layout: Path, image: Path, refs: Iterable[str]) -> None:
    """Add an image, pushed as a directory, to an OCI layout, under each of its names."""
    manifest = (image / "manifest.json").read_bytes()
    digest = hashlib.sha256(manifest).hexdigest()
    blobs = layout / "blobs/sha256"
    (blobs / digest).write_bytes(manifest)
    for file in image.iterdir():
        if len(file.name) == 64 and not (blobs / file.name).exists():
            shutil.copyfile(file, blobs / file.name)
    manifests = json.loads((layout / "index.json").read_text())["manifests"]
    for ref in refs:
        names = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
        manifests.append(
            {
                "mediaType": json.loads(manifest)["mediaType"],
                "digest": f"sha256:{digest}",
                "size": len(manifest),
                "annotations": dict.fromkeys(names, ref),
            }
        )
    _write_index(layout, manifests)


def _write_index(layout: Path, manifests: Sequence[Mapping[str, object]]) -> None:
    (layout / "index.json").write_text(
        json.dumps({"schemaVersion": 2, "manifests": list(manifests)})
    )
