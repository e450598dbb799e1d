"""What somebody who got into a service could do from there, and whose kernel it is.

The attempts (``probe.attempts``) are run within a service as it stands, and, where that can be, in
the same image without its hardening: the difference is what the hardening is for.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import resources
from typing import Final

from probe import host
from probe.errors import ProbeError
from probe.experiments.availability import VICTIMS
from probe.experiments.base import Context, Plan, StackExperiment
from probe.models.base import Inspector
from probe.records import Sample, State
from probe.target import Target
from shop import catalogue
from shop.model import Service

#: The attempts that ask the kernel for something: what it gives is the host's where it is shared.
OF_THE_KERNEL: Final = (
    "see others' processes",
    "mount",
    "load a kernel module",
    "hold or gain a capability",
    "run as root by set-user-ID",
    "exhaust processes",
    "exhaust memory",
)


class Isolation(StackExperiment):
    """Compares kernels, and tries from within what should not work."""

    name = "isolation"
    summary = "whose kernel it is, and what works from within a service, hardened and not"
    states = ("warm",)
    goes_in = True

    def seconds(self, model: str, state: State, plan: Plan) -> float:
        """Return a guess."""
        return {"vm": 60.0}.get(model, 5.0) if state in self.states else 0.0

    def look(self, context: Context, target: Target, inspector: Inspector) -> list[Sample]:
        """Return whether the kernel is the host's, and each attempt with and without hardening."""
        service = VICTIMS.get(target.shape, catalogue.GATEWAY)
        whose = self._whose(context, inspector, service)
        samples = [whose]
        for hardening, run in (("on", inspector.inside), ("off", inspector.unhardened)):
            context.say(f"isolation: attempts, hardening {hardening}")
            samples += self._attempts(context, inspector, target.shape, hardening, run)
        through = [s for s in samples if s.metric == "attempt_open" and s.value]
        tried = {s.labels["hardening"] for s in samples if s.metric == "attempt_open"}
        if whose.value is not None:
            samples += (
                self._against_the_host(context, hardening, through, shared=bool(whose.value))
                for hardening in sorted(tried)
            )
        return samples

    def _against_the_host(
        self, context: Context, hardening: str, through: list[Sample], *, shared: bool
    ) -> Sample:
        """Return how many got something of the host's kernel, which may not be the one in there."""
        got = [
            s.labels["attempt"]
            for s in through
            if s.labels["hardening"] == hardening and s.labels["attempt"] in OF_THE_KERNEL
        ]
        what = ", ".join(got) or "none"
        how = what if shared else f"of the guest's own kernel: {what}"
        return context.sample(
            self.name,
            "host_kernel_attempts_open",
            len(got) if shared else 0,
            "count",
            evidence=how,
            hardening=hardening,
        )

    def failed(self, context: Context, reason: str) -> Sample:
        """Return a failed sample of whose kernel it is."""
        return self._kernel(context, None, reason)

    def _whose(self, context: Context, inspector: Inspector, service: str) -> Sample:
        try:
            theirs = inspector.boot_id(service)
        except ProbeError as error:
            return self._kernel(context, None, str(error))
        shared = theirs == host.BOOT_ID.read_text(encoding="ascii").strip()
        how = "the boot id is the host's" if shared else "the boot id is another than the host's"
        return self._kernel(context, float(shared), f"{how}: {theirs}")

    def _kernel(self, context: Context, value: float | None, evidence: str) -> Sample:
        return context.sample(self.name, "kernel_shared", value, "count", evidence=evidence)

    def _attempts(
        self,
        context: Context,
        inspector: Inspector,
        shape: str,
        hardening: str,
        run: Callable[[str, str, list[str]], str],
    ) -> list[Sample]:
        script = (resources.files("probe") / "attempts.py").read_text(encoding="utf-8")
        name = VICTIMS.get(shape, catalogue.GATEWAY)
        own, other = neighbours(shape, name)
        try:
            with listening(inspector.host_address()) as (address, port):
                to = [address, str(port), other.name, str(other.port)]
                secrets = ",".join(secret.name for secret in own.secrets)
                found = json.loads(run(name, script, [*to, secrets]))
        except (ProbeError, OSError, ValueError) as error:
            return [
                context.sample(
                    self.name,
                    "attempts_open",
                    None,
                    "count",
                    outcome="not_measured",
                    evidence=str(error),
                    hardening=hardening,
                )
            ]
        samples = [
            context.sample(
                self.name,
                "attempt_open",
                float(through),
                "count",
                evidence=how,
                attempt=attempt,
                hardening=hardening,
            )
            for attempt, (through, how) in found.items()
        ]
        through = [attempt for attempt, (got, _) in found.items() if got]
        samples.append(
            context.sample(
                self.name,
                "attempts_open",
                len(through),
                "count",
                evidence=f"of {len(found)}, from within {name}: {', '.join(through) or 'none'}",
                hardening=hardening,
            )
        )
        return samples


def neighbours(shape: str, name: str) -> tuple[Service, Service]:
    """Return a service, and one that it has no business with."""
    services = {service.name: service for service in catalogue.services(shape)}
    own = services[name]
    return own, next(s for n, s in services.items() if n != name and n not in own.needs)


#: How long somebody who connects is waited for before it is looked whether that is still wanted.
_TURN_S: Final = 0.2


@contextmanager
def listening(address: str) -> Iterator[tuple[str, int]]:
    """Listen at an address of the host's for as long as attempts are made to reach it."""
    with socket.create_server((address, 0)) as server:
        server.settimeout(_TURN_S)
        ended = threading.Event()

        def accept() -> None:
            while not ended.is_set():
                with suppress(OSError):
                    server.accept()[0].close()

        thread = threading.Thread(target=accept, name="attempts", daemon=True)
        thread.start()
        try:
            yield address, int(server.getsockname()[1])
        finally:
            ended.set()
            thread.join()
