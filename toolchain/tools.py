"""Tools that Debian does not have: Pulumi's CLI, vegeta, kind, Kubernetes, and what goes with them.

One rule for each: the one present if its version will do; else the upstream release, pinned and
checked against its published checksums, if it is reached at once; else built from its Go module at
the same pinned version (`toolchain/go/<name>/`, with go.sum).
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from toolchain import upstream
from toolchain.errors import ToolchainError
from toolchain.files import digest, is_stamped, link_or_copy, new_directory, write_text
from toolchain.host import SEARCH_PATH, capture
from toolchain.paths import Paths
from toolchain.sources import source_files
from toolchain.steps import Step, StepContext
from toolchain.versions import at_least, parse_version, show, within

GO_MINIMUM = "1.21"

_records_lock = threading.Lock()


@dataclass(frozen=True)
class Release:
    """An upstream release; `{version}` and `{arch}` are filled in."""

    base_url: str
    file: str
    checksums: str


@dataclass(frozen=True)
class Tool:
    """A pinned tool and what to accept instead of it.

    `accept` is the range [at least, below) of versions of a tool already present; None means that
    exactly our own is wanted. `beside` names files of a release that come along where they exist.
    `version_flag` is what the linker is told the version by (empty: the module says it itself; more
    than one are separated by spaces). `also` names further binaries of the same module and their
    packages. `called_as` are names by which one binary is several programs; by the first it is
    asked its version. `source` is the module's folder, `embeds` files of another module that its
    build finds in it: name there, and module and path where they really are. A tool with a `lock`
    is not built at the same time as others with it. Only a `published` one goes into the clone's
    bin. `same_as` names the tool whose binary it is where it would have to be built.
    """

    name: str
    version: str
    package: str
    version_flag: str
    binary: str
    version_command: tuple[str, ...]
    accept: tuple[str, str] | None = None
    release: Release | None = None
    beside: tuple[str, ...] = ()
    also: tuple[tuple[str, str], ...] = ()
    called_as: tuple[str, ...] = ()
    source: str = ""
    embeds: tuple[tuple[str, str, str], ...] = ()
    lock: str | None = None
    published: bool = True
    same_as: str = ""

    @property
    def folder(self) -> str:
        """Return the module's folder, relative to the clone."""
        return self.source or f"toolchain/go/{self.name}"


PULUMI_HELPERS = (
    "pulumi-language-python",
    "pulumi-language-python-exec",
    "pulumi-resource-pulumi-python",
)

#: Whose compiler and linker want several GB each.
LARGE = "large-build"
_PROVIDER = "github.com/pulumi/pulumi-kubernetes/provider/v4"
_KUBERNETES_VERSIONS = " ".join(
    f"{package}.{name}"
    for package, name in (
        ("k8s.io/component-base/version", "gitVersion=v{version}"),
        ("k8s.io/component-base/version", "gitMajor=1"),
        ("k8s.io/component-base/version", "gitMinor=37"),
        ("k8s.io/component-base/version", "gitTreeState=clean"),
        ("k8s.io/client-go/pkg/version", "gitVersion=v{version}"),
    )
)

TOOLS = {
    tool.name: tool
    for tool in (
        # In images of the node, whose version it is; kubectl where there is no other.
        Tool(
            name="kubernetes",
            version="1.37.2",
            package=".",
            version_flag=_KUBERNETES_VERSIONS,
            binary="kubernetes",
            version_command=("version", "--client"),
            called_as=("kubectl", "kubeadm"),
            lock=LARGE,
            published=False,
        ),
        # Upstream's own main can't be built from its module, see ours.
        Tool(
            name="pulumi-resource-kubernetes",
            version="4.25.0",  # That of the SDK in constraints.txt.
            package=".",
            version_flag=f"{_PROVIDER}/pkg/version.Version={{version}}",
            binary="pulumi-resource-kubernetes",
            version_command=(),  # It only speaks to Pulumi's engine.
            release=Release(
                "https://github.com/pulumi/pulumi-kubernetes/releases/download/v{version}",
                "pulumi-resource-kubernetes-v{version}-linux-{arch}.tar.gz",
                "pulumi-kubernetes_{version}_checksums.txt",
            ),
            source="toolchain/go/pulumi-kubernetes",
            embeds=tuple(
                (name, _PROVIDER, f"cmd/pulumi-resource-kubernetes/{name}")
                for name in ("schema.json", "terraform-mapping.json")
            ),
            lock=LARGE,
            published=False,
        ),
        Tool(
            name="pulumi",
            version="3.274.1",
            package="github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
            version_flag="github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{version}",
            binary="pulumi",
            version_command=("version",),
            accept=("3.250", "4.0"),
            release=Release(
                "https://github.com/pulumi/pulumi/releases/download/v{version}",
                "pulumi-v{version}-linux-{pulumi_arch}.tar.gz",
                "pulumi-{version}-checksums.txt",
            ),
            beside=PULUMI_HELPERS,
        ),
        Tool(
            name="vegeta",
            version="12.13.0",
            package="github.com/tsenart/vegeta/v12",
            version_flag="main.Version=v{version}",
            binary="vegeta",
            version_command=("-version",),
            accept=("12.8", "13.0"),
            release=Release(
                "https://github.com/tsenart/vegeta/releases/download/v{version}",
                "vegeta_{version}_linux_{arch}.tar.gz",
                "vegeta_{version}_checksums.txt",
            ),
        ),
        # Always built: it goes into images and has to be static and the same everywhere.
        Tool(
            name="stripe-mock",
            version="0.203.0",
            package="github.com/stripe/stripe-mock",
            version_flag="main.version={version}",
            binary="stripe-mock",
            version_command=("-version",),
        ),
        Tool(
            name="compose",
            version="2.40.3",
            package="github.com/docker/compose/v2/cmd",
            version_flag="github.com/docker/compose/v2/internal.Version=v{version}",
            binary="docker-compose",
            version_command=("version",),
            accept=("2.20", "6.0"),
            release=Release(
                "https://github.com/docker/compose/releases/download/v{version}",
                "docker-compose-linux-{machine}",
                "checksums.txt",
            ),
        ),
        Tool(
            name="kind",
            version="0.33.0",
            package="sigs.k8s.io/kind",
            version_flag="",
            binary="kind",
            version_command=("version",),
            accept=("0.32", "1.0"),
            release=Release(
                "https://github.com/kubernetes-sigs/kind/releases/download/v{version}",
                "kind-linux-{arch}",
                "kind-linux-{arch}.sha256sum",
            ),
        ),
        # Where it is not had otherwise it is another name of `kubernetes`.
        Tool(
            name="kubectl",
            version="1.37.2",
            package="",
            version_flag="",
            binary="kubectl",
            version_command=("version", "--client"),
            accept=("1.36", "1.39"),
            release=Release(
                "https://dl.k8s.io/release/v{version}/bin/linux/{arch}", "kubectl", "kubectl.sha256"
            ),
            source="toolchain/go/kubernetes",
            same_as="kubernetes",
        ),
        # These go into the node's images, and are always built, like stripe-mock.
        Tool(
            name="ingress",
            version="1.0.0",
            package="./cmd/ingress",
            version_flag="main.version={version}",
            binary="ingress",
            version_command=(),
            source="k8s/ingress",  # Ours.
            published=False,
        ),
        Tool(
            name="containerd",
            version="2.4.2",
            package="github.com/containerd/containerd/v2/cmd/containerd",
            version_flag="github.com/containerd/containerd/v2/version.Version=v{version}",
            binary="containerd",
            version_command=("--version",),
            also=tuple(
                (name, f"github.com/containerd/containerd/v2/cmd/{name}")
                for name in ("containerd-shim-runc-v2", "ctr")
            ),
            published=False,
        ),
        Tool(
            name="etcd",
            version="3.7.3",
            package=".",
            version_flag="",
            binary="etcd",
            version_command=("--version",),
            published=False,
        ),
        Tool(
            name="coredns",
            version="1.15.0",
            package="github.com/coredns/coredns",
            version_flag="",
            binary="coredns",
            version_command=("-version",),
            published=False,
        ),
        Tool(
            name="crictl",
            version="1.37.0",
            package="sigs.k8s.io/cri-tools/cmd/crictl",
            version_flag="sigs.k8s.io/cri-tools/pkg/version.Version=v{version}",
            binary="crictl",
            version_command=("--version",),
            published=False,
        ),
        Tool(
            name="local-path-provisioner",
            version="0.0.30",
            package="github.com/rancher/local-path-provisioner",
            version_flag="main.VERSION=v{version}",
            binary="local-path-provisioner",
            version_command=("--version",),
            published=False,
        ),
        Tool(
            name="metrics-server",
            version="0.9.0",
            package="sigs.k8s.io/metrics-server/cmd/metrics-server",
            version_flag="k8s.io/client-go/pkg/version.gitVersion=v{version}",
            binary="metrics-server",
            version_command=("--version",),
            published=False,
        ),
        Tool(
            name="kube-router",
            version="2.1.0",
            package="github.com/cloudnativelabs/kube-router/v2/cmd/kube-router",
            version_flag="github.com/cloudnativelabs/kube-router/v2/pkg/version.Version=v{version}",
            binary="kube-router",
            version_command=("--version",),
            published=False,
        ),
    )
}


def go_command() -> Path:
    """Return a Go command of at least GO_MINIMUM; raises ToolchainError if there is none."""
    places = [*SEARCH_PATH.split(os.pathsep), "/usr/local/go/bin", "/usr/lib/go/bin"]
    places += [str(found) for found in sorted(Path("/usr/lib").glob("go-*/bin"), reverse=True)]
    for place in places:
        command = Path(place) / "go"
        if os.access(command, os.X_OK) and at_least(
            capture(command, "version", env={"GOTOOLCHAIN": "local"}), GO_MINIMUM
        ):
            return command
    raise ToolchainError(f"no Go {GO_MINIMUM} or newer", "run toolchain/bootstrap.sh setup")


def tool_dir(paths: Paths, name: str) -> Path:
    """Return the cache directory of our own pinned copy of a tool."""
    return paths.tools / name / TOOLS[name].version


def tool_path(paths: Paths, name: str) -> Path:
    """Return the tool's binary: the one recorded by `setup`, else where our own copy goes."""
    recorded = read_records(paths).get(name, {}).get("path")
    if recorded and Path(recorded).exists():
        return Path(recorded)
    return tool_dir(paths, name) / TOOLS[name].binary


def read_records(paths: Paths) -> dict[str, dict[str, str]]:
    """Return `.triptych/tools.json`; empty if there is none."""
    try:
        records: dict[str, dict[str, str]] = json.loads(paths.tools_json.read_text())["tools"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return records


def record(
    paths: Paths, name: str, *, version: str, path: Path | str, source: str, why: str
) -> None:
    """Note in `.triptych/tools.json` where a tool came from."""
    entry = {"version": version, "path": str(path), "source": source, "why": why}
    with _records_lock:
        records = read_records(paths)
        if records.get(name) != entry:
            records[name] = entry
            text = json.dumps({"schema": 1, "tools": dict(sorted(records.items()))}, indent=2)
            write_text(paths.tools_json, text + "\n")


def find_present(paths: Paths, tool: Tool) -> tuple[Path, str] | None:
    """Return a tool of the user's that will do, and its version. Never our own copy."""
    if tool.accept is None:
        return None
    for place in SEARCH_PATH.split(os.pathsep):
        candidate = Path(place) / tool.binary
        if not place or not os.access(candidate, os.X_OK) or candidate.is_dir():
            continue
        real = candidate.resolve()
        if real.is_relative_to(paths.tools) or real.parent.parent.name == paths.state.name:
            continue  # Ours, or another clone's.
        printed = capture(real, *tool.version_command)
        if within(printed, *tool.accept):
            return real, show(parse_version(printed) or ())
    return None


def have(paths: Paths, name: str) -> bool:
    """Tell whether a tool is had: one present that will do, or our own as its sources stand."""
    tool = TOOLS[name]
    return find_present(paths, tool) is not None or _have(paths, tool)


def is_built_from(name: str) -> bool:
    """Tell whether a file of a Go module's folder can make a difference to what is built."""
    file = name.rpartition("/")[2]
    return file in ("go.mod", "go.sum") or (file.endswith(".go") and not file.endswith("_test.go"))


def source_key(root: Path, tool: Tool) -> str:
    """Return 12 hex digits over all that a build of the tool comes from."""
    found = source_files(root, tool.folder)
    files = [path for name, path in found.items() if is_built_from(name)]
    extra = [f"{name} {package}" for name, package in tool.also]
    return digest(files, tool.version, tool.version_flag, *extra)


def _key(paths: Paths, tool: Tool) -> str:
    return source_key(paths.root, tool)


def _have(paths: Paths, tool: Tool) -> bool:
    directory = tool_dir(paths, tool.name)
    return (directory / tool.binary).exists() and is_stamped(directory / "stamp", _key(paths, tool))


def _publish(paths: Paths, tool: Tool, binary: Path) -> None:
    """Put the tool into the clone's bin, as the same file: Pulumi looks beside its real path."""
    if tool.published:
        link_or_copy(binary, paths.bin / tool.binary)


def _published(paths: Paths, tool: Tool, binary: Path) -> bool:
    linked = paths.bin / tool.binary
    if not tool.published:
        return True
    if not linked.exists():
        return False
    ours, theirs = linked.stat(), binary.stat()
    return (ours.st_size, ours.st_mtime_ns) == (theirs.st_size, theirs.st_mtime_ns)


def tool_step(
    paths: Paths,
    name: str,
    needs: tuple[str, ...] = (),
    *,
    spared: Callable[[], str] = lambda: "",
    never: Callable[[], str] = lambda: "",
) -> Step:
    """Return the step that gets a tool by the rule and puts it into the clone's bin.

    `spared` says why the tool, where it is not had yet, need not be got; it is asked each time and
    has to be quick. `never` is asked last, before anything is fetched or built.
    """
    tool = TOOLS[name]
    own = tool_dir(paths, name)

    def is_done() -> bool | str:
        if found := find_present(paths, tool):
            binary, version = found
            source, why = "present", f"{version} is on PATH and will do"
        elif _have(paths, tool):
            binary, version = own / tool.binary, tool.version
            source = (own / "source").read_text().strip()
            why = "no usable one on PATH"
        else:
            return spared() or False
        if not _published(paths, tool, binary):
            _publish(paths, tool, binary)
        record(paths, name, version=version, path=binary, source=source, why=why)
        return f"{version}, {source}"

    async def run(context: StepContext) -> None:
        if reason := await context.thread(never):
            context.conclude(reason)
            return
        source = ""
        if tool.release is not None and await context.thread(upstream.reachable):
            try:
                context.say(f"{tool.version}, upstream release")
                await context.thread(_download, paths, tool)
                source = "upstream release"
            except ToolchainError as error:
                context.log(f"release not used: {error}")
        if not source:
            context.say(f"{tool.version}, built from its Go module")
            await _build(context, paths, tool)
            source = (own / "source").read_text().strip()
        _publish(paths, tool, own / tool.binary)
        why = "no usable one on PATH"
        if source != "upstream release" and tool.release:
            why += ", releases not reached"
        record(paths, name, version=tool.version, path=own / tool.binary, source=source, why=why)

    return Step(name, run, needs, is_done, f"{tool.version}", tool.lock, heavy=True)


def _download(paths: Paths, tool: Tool) -> None:
    assert tool.release
    machine = platform.machine()
    arch = {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
    names = {
        "version": tool.version,
        "machine": machine,
        "arch": arch,
        "pulumi_arch": {"amd64": "x64"}.get(arch, arch),
    }
    file_name = tool.release.file.format(**names)
    content = upstream.fetch_verified(
        tool.release.base_url.format(**names), file_name, tool.release.checksums.format(**names)
    )
    with new_directory(tool_dir(paths, tool.name)) as fresh:
        if file_name.endswith(".tar.gz"):
            archive = fresh / file_name
            archive.write_bytes(content)
            upstream.unpack(archive, fresh / "unpacked")
            archive.unlink()
            for wanted in (tool.binary, *tool.beside):
                for found in (fresh / "unpacked").rglob(wanted):
                    found.replace(fresh / wanted)
            shutil.rmtree(fresh / "unpacked")
        else:
            (fresh / tool.binary).write_bytes(content)
        if not (fresh / tool.binary).is_file():
            raise ToolchainError(f"{file_name} holds no {tool.binary}")
        (fresh / tool.binary).chmod(0o755)
        _finish(fresh, paths, tool, "upstream release")


async def _build(context: StepContext, paths: Paths, tool: Tool) -> None:
    if tool.same_as:
        await _take(context, paths, tool)
        return
    go = await context.thread(go_command)
    flags = [f"-X {flag.format(version=tool.version)}" for flag in tool.version_flag.split()]
    module = paths.root / tool.folder
    with new_directory(tool_dir(paths, tool.name)) as fresh:
        overlay: tuple[str | Path, ...] = ()
        if tool.embeds:
            # Not files in the clone: what is built from them would not be what is committed.
            names = {
                str(module / name): str(await module_folder(context, module, of) / place)
                for name, of, place in tool.embeds
            }
            write_text(fresh / "overlay.json", json.dumps({"Replace": names}))
            overlay = ("-overlay", fresh / "overlay.json")
        for binary, package in ((tool.binary, tool.package), *tool.also):
            await context.run(
                *(go, "build", "-trimpath", *overlay, "-ldflags", " ".join(["-s -w", *flags])),
                *("-o", fresh / binary, package),
                cwd=module,
                env=go_environment(),
            )
        for name in tool.called_as:
            (fresh / name).symlink_to(tool.binary)
        await _check_version(context, tool, fresh)
        _finish(fresh, paths, tool, "built from its Go module")


async def _take(context: StepContext, paths: Paths, tool: Tool) -> None:
    """Make the tool of another one's binary, which is several programs."""
    binary = tool_dir(paths, tool.same_as) / TOOLS[tool.same_as].binary
    if not binary.exists():
        raise ToolchainError(
            f"{tool.name} is not here, its release is not reached, and {tool.same_as} is not built",
            "set TRIPTYCH_NODE=build, which builds it",
        )
    with new_directory(tool_dir(paths, tool.name)) as fresh:
        link_or_copy(binary, fresh / tool.binary)
        await _check_version(context, tool, fresh)
        _finish(fresh, paths, tool, f"built as {tool.same_as}")


async def _check_version(context: StepContext, tool: Tool, fresh: Path) -> None:
    """Refuse a binary that does not say the version it is to be of, or does not even start."""
    if not tool.version_command:
        return
    called = fresh / (tool.called_as or (tool.binary,))[0]
    printed = await context.thread(capture, called, *tool.version_command)
    if not re.search(rf"\bv?{re.escape(tool.version)}\b", printed):
        raise ToolchainError(f"the {tool.name} just built says {printed.strip()!r}")


async def module_folder(context: StepContext, module: Path, of: str) -> Path:
    """Return where the files of a module are that `module` (a folder with a go.mod) requires.

    It is downloaded if it isn't there, and checked against go.sum.
    """
    go = await context.thread(go_command)
    said = await context.output(
        go, "mod", "download", "-json", of, cwd=module, env=go_environment()
    )
    return Path(json.loads(said)["Dir"])


def go_environment() -> dict[str, str]:
    """Return the environment for our Go builds: the pinned toolchain, static, nothing edited.

    go.mod names the Go version; an older `go` fetches that toolchain as a module. What the linker
    would strip again is not made in the first place: a tenth of the compiler's time.
    """
    return {
        "GOTOOLCHAIN": "auto",
        "GOFLAGS": "-mod=readonly -buildvcs=false -gcflags=all=-dwarf=false",
        "GOWORK": "off",
        "CGO_ENABLED": "0",
    }


def _finish(fresh: Path, paths: Paths, tool: Tool, source: str) -> None:
    write_text(fresh / "source", source + "\n")
    write_text(fresh / "stamp", _key(paths, tool) + "\n")
