"""The load generator: vegeta, open loop, outside of every model.

Requests leave at their times whether answers have come or not, and a latency counts from the moment
at which its request was meant to leave: a server that stalls can't hide what it made others wait.
"""

from __future__ import annotations

import base64
import json
import random
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from probe.errors import ProbeError
from toolchain.paths import Paths

#: After this long an answer counts as none (seconds).
ANSWER_S: Final = 10.0
#: The header by which a process of the shop names itself (app/contract), as vegeta spells it.
INSTANCE: Final = "X-Instance-Id"


@dataclass(frozen=True, slots=True)
class Request:
    """One request of a mix, and how often it comes."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    weight: int = 1

    def line(self, url: str) -> str:
        """Return it as vegeta reads it, sent to that server."""
        headers = {name: [value] for name, value in self.headers.items()}
        entry: dict[str, Any] = {"method": self.method, "url": f"{url}{self.path}"}
        if self.body is not None:
            entry["body"] = base64.b64encode(json.dumps(self.body).encode()).decode()
            headers["Content-Type"] = ["application/json"]
        return json.dumps({**entry, "header": headers})


@dataclass(frozen=True, slots=True)
class Report:
    """What came of an attack. ``rate`` is what really left, ``throughput`` good answers (1/s)."""

    requests: int
    good: int
    rate: float
    throughput: float
    latencies_s: Mapping[str, float]
    codes: Mapping[str, int]
    errors: Sequence[str]

    @property
    def success(self) -> float:
        """Return the share of requests that were answered well."""
        return self.good / self.requests if self.requests else 0.0


def program() -> Path:
    """Return vegeta: this clone's, or that of the PATH; raise ProbeError if there is none."""
    own = Paths.find().bin / "vegeta"
    found = own if own.exists() else shutil.which("vegeta")
    if not found:
        raise ProbeError("vegeta, the load generator, is missing: run `make setup` first")
    return Path(found)


def _command(
    folder: Path, lines: Sequence[str], *, rate: float, seconds: float, ca: str
) -> list[str]:
    """Return the command that sends these requests, with what it reads written into a folder.

    ``ca`` is empty where the server speaks no TLS. Answers are read to their ends, but kept by
    nobody: the generator would only carry their bodies along.
    """
    targets = folder / "targets"
    targets.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    argv = [
        *(str(program()), "attack", "-format=json", f"-targets={targets}", "-max-body=0"),
        *(f"-rate={round(rate * 1000)}/1000s", f"-duration={seconds:g}s"),
        f"-timeout={ANSWER_S:g}s",
    ]
    if ca:
        authority = folder / "authority.pem"
        authority.write_text(ca, encoding="utf-8")
        argv.append(f"-root-certs={authority}")
    return argv


def attack(
    url: str,
    mix: Sequence[Request],
    *,
    rate: float,
    seconds: float,
    ca_certificate: str,
    seed: int = 0,
) -> Report:
    """Send a mix at a rate for a while; raise ProbeError if the generator itself fails."""
    lines = [request.line(url) for request in mix for _ in range(request.weight)]
    # In the order of the list one kind would come in a row.
    random.Random(seed).shuffle(lines)
    with tempfile.TemporaryDirectory(prefix="triptych-load-") as folder:
        argv = _command(Path(folder), lines, rate=rate, seconds=seconds, ca=ca_certificate)
        try:
            results = subprocess.run(
                argv, capture_output=True, check=True, timeout=seconds + 4 * ANSWER_S
            ).stdout
            text = subprocess.run(
                [str(program()), "report", "-type=json"],
                input=results,
                capture_output=True,
                check=True,
            ).stdout
        except subprocess.CalledProcessError as error:
            last = error.stderr.decode(errors="replace").strip().splitlines()[-1:]
            raise ProbeError(f"vegeta: {' '.join(last) or error}") from None
        except (OSError, subprocess.SubprocessError) as error:
            raise ProbeError(f"vegeta: {error}") from None
    return read(json.loads(text))


@dataclass(frozen=True, slots=True)
class Answer:
    """One request of an attack: when it left (wall clock), how long it took, how it went."""

    sent_at: float
    latency_s: float
    good: bool
    note: str = ""
    path: str = ""
    #: The process that answered, by the name that it gives itself; empty if none of the shop's did.
    instance: str = ""

    @property
    def ended_at(self) -> float:
        """Return when the answer was there, or given up."""
        return self.sent_at + self.latency_s


class Attack:
    """A steady attack in the background, whose answers are told one by one."""

    def __init__(
        self, url: str, requests: Sequence[Request], *, rate: float, seconds: float, ca: str
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="triptych-load-")
        folder = Path(self._folder.name)
        self._results = folder / "results"
        lines = [request.line(url) for request in requests]
        argv = _command(folder, lines, rate=rate, seconds=seconds, ca=ca)
        try:
            self._process = subprocess.Popen(
                [*argv, f"-output={self._results}"], stderr=subprocess.DEVNULL
            )
        except OSError as error:
            raise ProbeError(f"vegeta: {error}") from None

    def wait(self) -> None:
        """Wait until all has been sent and answered."""
        self._process.wait()

    def stop(self) -> list[Answer]:
        """End it, wait for what is on its way, and return every answer in the order of sending."""
        try:
            if self._process.poll() is None:
                self._process.send_signal(signal.SIGINT)
            self._process.wait(3 * ANSWER_S)
            text = subprocess.run(
                [str(program()), "encode", "-to=json", str(self._results)],
                capture_output=True,
                check=True,
                text=True,
            ).stdout
        except (OSError, subprocess.SubprocessError) as error:
            self._process.kill()
            raise ProbeError(f"vegeta: {error}") from None
        finally:
            self._folder.cleanup()
        return sorted((answer(json.loads(line)) for line in text.splitlines()), key=_sent)


def answer(line: Mapping[str, Any]) -> Answer:
    """Return one line of `vegeta encode` in our terms."""
    code = int(line["code"])
    return Answer(
        sent_at=datetime.fromisoformat(line["timestamp"]).timestamp(),
        latency_s=int(line["latency"]) / 1e9,
        good=200 <= code < 400,
        note=str(line.get("error") or code),
        path=urlsplit(str(line.get("url", ""))).path,
        instance=next(iter((line.get("headers") or {}).get(INSTANCE, ())), ""),
    )


def _sent(one: Answer) -> float:
    return one.sent_at


def read(report: Mapping[str, Any]) -> Report:
    """Return vegeta's own report in our terms."""
    quantiles = {"p50": "50th", "p90": "90th", "p95": "95th", "p99": "99th", "max": "max"}
    requests = int(report["requests"])
    return Report(
        requests=requests,
        good=round(float(report["success"]) * requests),
        rate=float(report["rate"]),
        throughput=float(report["throughput"]),
        latencies_s={q: report["latencies"][key] / 1e9 for q, key in quantiles.items()},
        codes=dict(report["status_codes"]),
        errors=tuple(report.get("errors") or ()),
    )
