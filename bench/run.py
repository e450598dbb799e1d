"""What is measured, in which order, and that nothing of it stays behind."""

from __future__ import annotations

import fcntl
import ipaddress
import random
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from rich.console import Console
from rich.text import Text

from bench import (
    builds,
    cleaning,
    clusters,
    compose_side,
    generator,
    material,
    polling,
    services,
    sizes,
)
from bench.compose_side import ComposeSide
from bench.figures import Figure, bounded, compared, exit_code, not_tested, render, write
from bench.pulumi_side import PulumiSide
from bench.virsh_side import VirshSide
from probe import models, project, sites
from probe.compare import terminable
from probe.engine import Engine
from probe.errors import ProbeError, UsageProblem
from probe.models.vm import connect
from probe.poller import PollResult
from probe.target import from_outputs
from shop import catalogue
from toolchain.errors import ToolchainError
from toolchain.paths import Paths
from toolchain.tools import tool_path

T = TypeVar("T")

URI: Final = "qemu:///system"
DOCKER_LIMIT: Final = 1.5
VM_LIMIT: Final = 1.2
PREVIEW_S: Final = 5.0
GUEST_MIB: Final = 1024.0
#: What a machine gets to become idle before its memory is read (seconds).
SETTLE_S: Final = 8.0

#: Figures that need a deployment in Docker, one in a machine, or none; with unit and limit.
DOCKER: Final = {
    "docker-first-transaction": ("s", DOCKER_LIMIT),
    "docker-preview": ("s", PREVIEW_S),
    "poll-gateway-resolution": ("ms", polling.RESOLUTION_MS),
    "poll-gateway-cpu": ("%", polling.CPU_PERCENT),
}
VM: Final = {
    "vm-first-transaction": ("s", VM_LIMIT),
    "vm-preview": ("s", PREVIEW_S),
    "guest-memory": ("MiB", GUEST_MIB),
}
ALONE: Final = {
    "poll-closed-resolution": ("ms", polling.RESOLUTION_MS),
    "poll-closed-cpu": ("%", polling.CPU_PERCENT),
    "unit-tests": ("s", sizes.UNIT_TESTS_S),
    "image-size": ("MB", sizes.IMAGES_MB),
    "unchanged-builds": ("s", builds.UNCHANGED_S),
    "first-row": ("s", sizes.FIRST_ROW_S),
}
NAMES: Final = (*DOCKER, *VM, *clusters.FIGURES, *services.FIGURES, *generator.FIGURES, *ALONE)
#: What the comparisons with other tools deploy: one container or unit of the shop's own.
SHAPE: Final = "monolith"

# Into a file or a pipe, Rich would take 80 columns and cut the figures short.
console = Console(width=None if sys.stdout.isatty() else 110)


def run(*, reps: int | None = None, only: Sequence[str] = ()) -> int:
    """Measure, write ``results/bench.json``, print the table; return the exit code.

    Raises:
        ProbeError: if a name is unknown, nothing is built, or another bench is running.
    """
    wanted = chosen(only)
    env = project.environment()
    artefacts = project.artefacts()
    if not artefacts:
        raise ProbeError("nothing is built yet: run `make build` first")
    engine = Engine(project.ROOT, env)
    found: list[Figure] = []
    with _alone(project.ROOT), terminable():
        left = cleaning.clean(engine, project.ROOT, uri=URI)
        if left:
            _say(f"removed what an earlier bench left: {', '.join(left)}")
        try:
            bench = Bench(engine, env, artefacts, wanted)
            found = bench.measure(docker_rounds=reps or 3, vm_rounds=reps or 2)
        finally:
            with _uninterrupted():
                cleaning.clean(engine, project.ROOT, uri=URI)
    order = {name: position for position, name in enumerate(NAMES)}
    found.sort(key=lambda figure: order[figure.name])
    file = project.ROOT / "results" / "bench.json"
    write(file, found)
    console.print(render(found))
    console.print(Text(f"written to {file.relative_to(project.ROOT)}"), soft_wrap=True)
    return exit_code(found)


def chosen(only: Sequence[str]) -> frozenset[str]:
    """Return the figures asked for: whole names or their beginnings; all if none is given."""
    unknown = [word for word in only if not any(name.startswith(word) for name in NAMES)]
    if unknown:
        raise UsageProblem(f"unknown figure {unknown[0]!r}: known are {', '.join(NAMES)}")
    return frozenset(n for n in NAMES if not only or any(n.startswith(word) for word in only))


def order(number: int, ours: T, theirs: T) -> tuple[T, T]:
    """Return the sides in the order of a round: each begins every other one."""
    return (ours, theirs) if number % 2 == 0 else (theirs, ours)


@dataclass
class Bench:
    """One run of the bench."""

    engine: Engine
    env: dict[str, str]
    artefacts: dict[str, Any]
    wanted: frozenset[str]
    found: list[Figure] = field(default_factory=list)

    def measure(self, *, docker_rounds: int, vm_rounds: int) -> list[Figure]:
        """Measure what is wanted, what is quick first; what breaks becomes a failed figure."""
        self._part(("image-size",), ALONE, self._images)
        results = project.ROOT / "results"
        self._part(("first-row",), ALONE, lambda: [sizes.first_row(Paths.find(), results)])
        self._part(
            ("poll-closed-resolution", "poll-closed-cpu"),
            ALONE,
            lambda: polling.figures("closed", [polling.closed_port() for _ in range(2)]),
        )
        self._part(("unit-tests",), ALONE, lambda: [sizes.unit_tests(project.ROOT)])
        self._part(("unchanged-builds",), ALONE, lambda: [builds.unchanged(Paths.find())])
        self._part(
            tuple(generator.FIGURES),
            generator.FIGURES,
            lambda: generator.figures(self.artefacts),
        )
        self._part(tuple(services.FIGURES), services.FIGURES, lambda: self._services(docker_rounds))
        self._part(tuple(DOCKER), DOCKER, lambda: self._docker(docker_rounds))
        self._part(tuple(VM), VM, lambda: self._vm(vm_rounds))
        self._part(
            tuple(clusters.FIGURES), clusters.FIGURES, lambda: self._kubernetes(docker_rounds)
        )
        return self.found

    def _part(
        self,
        names: Sequence[str],
        limits: dict[str, tuple[str, float]],
        measure: Callable[[], list[Figure]],
    ) -> None:
        names = [name for name in names if name in self.wanted]
        if not names:
            return
        _say(f"measuring {', '.join(names)}")
        try:
            got = {figure.name: figure for figure in measure()}
        except (ProbeError, ToolchainError, OSError) as error:
            reason = str(error).splitlines()[0]
            _say(f"broken off: {reason}")
            got = {}
            for name in names:
                unit, limit = limits[name]
                got[name] = not_tested(name, reason, unit=unit, limit=limit, failed=True)
        self.found += [got[name] for name in names if name in got]

    def _images(self) -> list[Figure]:
        # dockerd has only what was pulled or run before.
        models.preparation("docker", {"shape": SHAPE}, self.artefacts).warm()
        return [sizes.images(self.artefacts)]

    def _side(self, name: str, url: str, **config: str) -> PulumiSide:
        config = {"keep_images": "true", "shape": SHAPE, **config}
        return PulumiSide(name, config, url, self.engine, project.ROOT, self.env)

    def _compose(self, folder: str, port: int) -> ComposeSide:
        binary = tool_path(Paths.find(), "compose")
        if not binary.exists():
            raise ProbeError("no docker compose: `make bench` gets it")
        return ComposeSide(binary, project.ROOT / ".triptych" / folder, f"https://127.0.0.1:{port}")

    def _services(self, rounds: int) -> list[Figure]:
        models.preparation("docker", {"shape": services.SHAPE}, self.artefacts).warm()
        port = sites.free_port()
        compose = self._compose("bench-services", port)
        vegeta = tool_path(Paths.find(), "vegeta")
        bench = services.Bench(Paths.find(), self.artefacts, compose, vegeta, port, _say)
        try:
            return bench.measure(sorted(self.wanted), rounds)
        finally:
            bench.close()
            _shielded(compose.down)
            compose.remove()

    def _docker(self, rounds: int) -> list[Figure]:
        models.preparation("docker", {"shape": SHAPE}, self.artefacts).warm()
        port, other = sites.free_port(), sites.free_port()
        ours = self._side(
            "bench-docker", f"https://127.0.0.1:{port}", model="docker", gateway_port=str(port)
        )
        theirs = self._compose("bench", other)
        both = "docker-first-transaction" in self.wanted
        rounds = rounds if both else 1
        times: dict[str, list[float]] = {"ours": [], "theirs": [], "wait": [], "preview": []}
        polls: list[PollResult] = []

        def our_turn(number: int) -> None:
            if number < 0:
                ours.deploy()
            else:
                times["ours"].append(ours.first_transaction())
                if "docker-preview" in self.wanted:
                    times["preview"].append(ours.preview())
                if number == rounds - 1 and {"poll-gateway-resolution", "poll-gateway-cpu"} & (
                    self.wanted
                ):
                    datastore = f"{ours.prefix}-valkey"
                    polls.append(polling.unready_gateway(ours.url, datastore))
            ours.destroy()

        def their_turn(number: int) -> None:
            first, took = theirs.first_transaction()
            if number >= 0:
                times["theirs"].append(first)
                times["wait"].append(took)
            theirs.down()

        with ExitStack() as stack:
            stack.callback(_shielded, ours.remove)
            ours.create()
            if both:
                stack.callback(_shielded, theirs.remove)
                theirs.create(self._compose_file(other), material.make())
            # The round before the first is not counted: it fills the host's caches for both.
            for number in range(-1 if both else 0, rounds):
                for turn in order(number, our_turn, their_turn) if both else (our_turn,):
                    turn(number)
                if number >= 0:
                    _say_round("docker", number, times)
        figures: list[Figure] = []
        if both:
            wait_s = statistics.median(times["wait"])
            note = (
                "pulumi up beside docker compose up --wait, which itself returned after"
                f" {wait_s:.1f} s (its health checks); both to the first transaction"
            )
            figures.append(
                compared(
                    "docker-first-transaction",
                    times["ours"],
                    times["theirs"],
                    limit=DOCKER_LIMIT,
                    note=note,
                )
            )
        if times["preview"]:
            figures.append(bounded("docker-preview", times["preview"], unit="s", limit=PREVIEW_S))
        return figures + (polling.figures("gateway", polls) if polls else [])

    def _compose_file(self, port: int) -> dict[str, Any]:
        images = {name: image["ref"] for name, image in self.artefacts["images"].items()}
        releases = self.artefacts["sources"]
        return compose_side.render(catalogue.services(SHAPE), images, port=port, releases=releases)

    def _vm(self, rounds: int) -> list[Figure]:
        rng = random.Random()
        subnet = sites.free_subnet(rng, sites.taken_subnets(URI))
        other = sites.free_subnet(rng, [*sites.taken_subnets(URI), ipaddress.IPv4Network(subnet)])
        ours = self._side(
            "bench-vm", f"https://{sites.vm_address(subnet)}:8443", model="vm", vm_subnet=subnet
        )
        theirs = VirshSide(
            URI, self._golden(), ipaddress.IPv4Network(other), sites.vm_address(other)
        )
        both = "vm-first-transaction" in self.wanted
        rounds = rounds if both else 1
        times: dict[str, list[float]] = {"ours": [], "theirs": [], "preview": [], "memory": []}
        accelerator = ""

        def our_turn(number: int) -> None:
            nonlocal accelerator
            times["ours"].append(ours.first_transaction())
            outputs = ours.outputs()
            accelerator = str(outputs.get("accelerator"))
            if "guest-memory" in self.wanted:
                times["memory"].append(_guest_memory_mib(ours.name, outputs))
            if "vm-preview" in self.wanted:
                times["preview"].append(ours.preview())
            ours.destroy()

        def their_turn(number: int) -> None:
            times["theirs"].append(theirs.first_transaction())
            theirs.down()

        with ExitStack() as stack:
            stack.callback(_shielded, ours.remove)
            ours.create()
            if both:
                stack.callback(_shielded, theirs.remove)
                # The other side's machine is this one's; so a first deployment is not counted.
                ours.deploy()
                theirs.create(_domain_xml(ours.prefix))
                ours.destroy()
            for number in range(rounds):
                for turn in order(number, our_turn, their_turn) if both else (our_turn,):
                    turn(number)
                _say_round("vm", number, times)
        how = "emulated (TCG): " if accelerator == "tcg" else ""
        figures: list[Figure] = []
        if both:
            figures.append(
                compared(
                    "vm-first-transaction",
                    times["ours"],
                    times["theirs"],
                    limit=VM_LIMIT,
                    note=f"{how}pulumi up beside qemu-img and virsh create, same disk and seed",
                )
            )
        if times["preview"]:
            figures.append(bounded("vm-preview", times["preview"], unit="s", limit=PREVIEW_S))
        if times["memory"]:
            note = f"{how}{SETTLE_S:.0f} s after the first transaction: available less usable"
            figures.append(
                bounded("guest-memory", times["memory"], unit="MiB", limit=GUEST_MIB, note=note)
            )
        return figures

    def _kubernetes(self, rounds: int) -> list[Figure]:
        bench = clusters.Bench(
            self._side,
            self.artefacts,
            Paths.find().bin,
            project.ROOT / ".triptych" / "bench-kind",
            self.wanted,
            order,
            _shielded,
            _say,
        )
        return bench.measure(rounds)

    def _golden(self) -> Path:
        guest = project.guest_of(self.artefacts, SHAPE)
        connection = connect(URI)
        try:
            pool = connection.storagePoolLookupByName(guest["pool"])
            return Path(pool.storageVolLookupByName(guest["volume"]).path())
        except Exception as error:
            raise ProbeError(f"no guest disk ({error}): run `make build` first") from None
        finally:
            connection.close()


def _domain_xml(name: str) -> str:
    import libvirt

    connection = connect(URI)
    try:
        domain = connection.lookupByName(name)
        return str(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
    except libvirt.libvirtError as error:
        raise ProbeError(f"domain {name}: {error}") from None
    finally:
        connection.close()


def _guest_memory_mib(stack: str, outputs: dict[str, Any]) -> float:
    inspector = models.inspector(from_outputs(stack, outputs))
    try:
        time.sleep(SETTLE_S)
        memory = inspector.guest_memory()
    finally:
        inspector.close()
    if memory is None or memory.usable_bytes is None:
        raise ProbeError("the guest's balloon driver did not report its memory")
    return (memory.total_bytes - memory.usable_bytes) / 1024**2


def _say(text: str) -> None:
    console.print(Text(text, style="dim"), soft_wrap=True)


def _say_round(model: str, number: int, times: dict[str, list[float]]) -> None:
    last = ", ".join(f"{k} {v[-1]:.2f}" for k, v in times.items() if v)
    _say(f"  {model}, round {number + 1}: {last}")


def _shielded(remove: Callable[[], object]) -> None:
    with _uninterrupted(), suppress(ProbeError):
        remove()


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Keep Ctrl-C and SIGTERM from cutting a removal short."""
    before = {s: signal.signal(s, _later) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _later(_number: int, _frame: object) -> None:
    _say("removing everything first, please wait")


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Let only one bench run: two would take each other's names and time."""
    with (root / ".triptych" / "bench.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ProbeError("another bench is running in this clone") from None
        yield
