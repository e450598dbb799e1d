"""A run's folder: ``results/<run>/{manifest.json,samples.jsonl,rounds.jsonl,raw/}``.

Samples are appended and forced to disk once per trial, and the trial's line in ``rounds.jsonl`` is
written after them. A trial without that line did not finish: ``--resume`` repeats it, and readers
leave its samples out but name them. So Ctrl-C or a crash never loses a finished trial.
"""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from probe.errors import DamagedResults
from probe.records import SCHEMA_VERSION, Manifest, Sample, Side, Timeline, Trial, TrialDone

MANIFEST = "manifest.json"
SAMPLES = "samples.jsonl"
ROUNDS = "rounds.jsonl"
RAW = "raw"
#: How the name of a trial's raw file ends that has its timelines.
TIMELINES = "-timelines.json"
OWNER = "owner.json"
#: Who works on which run, for all clones of this machine.
CLAIMS = Path(tempfile.gettempdir()) / "triptych-runs"


@dataclass(frozen=True)
class Run:
    """A run as read back: its manifest, the samples of finished trials, and what was unreadable."""

    manifest: Manifest
    samples: tuple[Sample, ...]
    done: Mapping[str, TrialDone]
    problems: tuple[str, ...]
    timelines: tuple[Timeline, ...] = ()


def append_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Append one JSON line per record and force them to disk.

    A half-written last line (the machine died) is first closed with a newline, so that it spoils no
    other line.
    """
    with path.open("ab+") as stream:
        if stream.tell() > 0:
            stream.seek(-1, os.SEEK_END)
            if stream.read(1) != b"\n":
                stream.write(b"\n")
        for record in records:
            stream.write(json.dumps(record, ensure_ascii=False, allow_nan=False).encode() + b"\n")
        stream.flush()
        os.fsync(stream.fileno())


def write_whole(path: Path, text: str) -> None:
    """Replace the file at once: a reader sees the old text or the new one, never half of it."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)


class RunFolder:
    """The writing side of a run's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def raw(self) -> Path:
        """Return the folder of raw artefacts (event stamps, logs), made when first asked for."""
        folder = self.path / RAW
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def create(self, manifest: Manifest) -> None:
        """Make the folder and write the manifest."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_whole(self.path / MANIFEST, json.dumps(asdict(manifest), indent=2) + "\n")

    def finish_trial(self, samples: Iterable[Sample], done: TrialDone) -> None:
        """Put a trial's samples on disk, then the line that says that it has ended."""
        append_lines(self.path / SAMPLES, (s.to_json() for s in samples))
        append_lines(self.path / ROUNDS, [asdict(done)])

    def set_unfinished_aside(self) -> int:
        """Move the samples of trials that did not finish into ``raw/``; return how many.

        Done before a run goes on: the trial will be repeated and must not count twice.
        """
        finished = set(read_run(self.path).done)
        kept: list[str] = []
        aside: list[dict[str, Any]] = []
        for _, record in _lines(self.path / SAMPLES, []):
            key = "-".join(str(record.get(k)) for k in ("round", "model", "shape", "state"))
            if key in finished:
                kept.append(json.dumps(record, ensure_ascii=False))
            else:
                aside.append(record)
        if aside:
            append_lines(self.raw / "unfinished.jsonl", aside)
            write_whole(self.path / SAMPLES, "".join(f"{line}\n" for line in kept))
        return len(aside)

    def write_raw(self, name: str, data: Any) -> None:
        """Keep a raw artefact of a trial beside the samples."""
        write_whole(self.raw / name, json.dumps(data, indent=1, default=str) + "\n")

    # Who works on the run: tells a run in progress from one that was killed.
    # What a run deploys is the machine's, so its clones have to know of each other's runs.
    def claim(self) -> None:
        """Note, here and for the machine's other clones, that this process works on the run."""
        pid = os.getpid()
        owner = json.dumps({"pid": pid, "started": _process_start(pid)})
        write_whole(self.path / OWNER, owner)
        with suppress(OSError):  # somebody else's folder, say: it is known here at least
            CLAIMS.mkdir(exist_ok=True)
            CLAIMS.chmod(0o1777)
        with suppress(OSError):
            write_whole(CLAIMS / self.path.name, owner)

    def release(self) -> None:
        """Take the notes away."""
        (self.path / OWNER).unlink(missing_ok=True)
        with suppress(OSError):
            (CLAIMS / self.path.name).unlink(missing_ok=True)


def is_claimed(path: Path) -> bool:
    """Tell whether a living process works on the run of that folder's name, in any clone."""
    return _is_alive(path / OWNER) or _is_alive(CLAIMS / path.name)


def _is_alive(note: Path) -> bool:
    try:
        owner = json.loads(note.read_text())
        return bool(_process_start(int(owner["pid"])) == owner["started"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _process_start(pid: int) -> str:
    """Return when the process started, in clock ticks: a pid alone may have been used again."""
    text = Path(f"/proc/{pid}/stat").read_text()
    return text.rpartition(")")[2].split()[19]


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a run; raise DamagedResults with one clear line if there is none."""
    path = folder / MANIFEST
    if not folder.is_dir():
        raise DamagedResults(f"{folder}: no such results folder")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DamagedResults(f"{folder}: no {MANIFEST} in it, so not a run's folder") from None
    except (OSError, ValueError) as error:
        raise DamagedResults(f"{path}: cannot be read ({error})") from None
    if not isinstance(data, dict):
        raise DamagedResults(f"{path}: not a JSON object")
    if data.get("schema") != SCHEMA_VERSION:
        raise DamagedResults(
            f"{path}: written with results schema {data.get('schema')!r},"
            f" this probe reads {SCHEMA_VERSION}"
        )
    names = {f.name for f in dataclasses.fields(Manifest)}
    known: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in data.items() if k in names
    }
    try:
        manifest = Manifest(**known)
        for side in manifest.sides:
            Side.parse(side)
        return manifest
    except (TypeError, ValueError, AttributeError) as error:
        raise DamagedResults(f"{path}: incomplete ({error})") from None


def read_run(folder: Path) -> Run:
    """Read a run: the good lines are used, the others are named in ``problems``."""
    manifest = read_manifest(folder)
    problems: list[str] = []
    done: dict[str, TrialDone] = {}
    for number, record in _lines(folder / ROUNDS, problems):
        try:
            entry = TrialDone(**record)
        except TypeError as error:
            problems.append(f"{ROUNDS} line {number}: not a round ({error})")
            continue
        done[entry.key] = entry
    samples: list[Sample] = []
    unfinished: dict[str, int] = {}
    seen: dict[str, int] = {}
    for number, record in _lines(folder / SAMPLES, problems):
        try:
            sample = Sample.from_json(record)
        except ValueError as error:
            problems.append(f"{SAMPLES} line {number}: {error}")
            continue
        key = Trial.of(sample).key
        if key not in done:
            unfinished[key] = unfinished.get(key, 0) + 1
            continue
        seen[key] = seen.get(key, 0) + 1
        samples.append(sample)
    problems += [
        f"round {key} did not finish: its {count} samples are left out"
        for key, count in sorted(unfinished.items())
    ]
    problems += [
        f"round {key}: {entry.samples} samples were written, {seen.get(key, 0)} can be read"
        for key, entry in sorted(done.items())
        if seen.get(key, 0) != entry.samples
    ]
    timelines = _timelines(folder, done, problems)
    return Run(manifest, tuple(samples), done, tuple(problems), timelines)


def history(
    results: Path, experiments: Sequence[str], settle_s: float, window_s: float
) -> dict[str, float]:
    """Return how long deployments took in the latest run that did the same, by ``Trial.alike``.

    Runs that can't be read tell nothing.
    """
    found: dict[str, float] = {}
    for folder in sorted(results.glob("*"), reverse=True):
        try:
            manifest = read_manifest(folder)
        except DamagedResults:
            continue
        same = set(manifest.experiments) == set(experiments)
        if not same or (manifest.settle_s, manifest.window_s) != (settle_s, window_s):
            continue
        taken: dict[str, list[float]] = {}
        for _, record in _lines(folder / ROUNDS, []):
            if record.get("outcome") == "ok" and isinstance(record.get("seconds"), int | float):
                try:
                    alike = Trial.parse(str(record.get("key", ""))).alike
                except ValueError:
                    continue
                taken.setdefault(alike, []).append(float(record["seconds"]))
        for alike, seconds in taken.items():
            found.setdefault(alike, statistics.median(seconds))
    return found


def _timelines(
    folder: Path, done: Mapping[str, TrialDone], problems: list[str]
) -> tuple[Timeline, ...]:
    """Return the timelines of finished trials; what can't be read is named."""
    found: list[Timeline] = []
    for key in done:
        path = folder / RAW / f"{key}{TIMELINES}"
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            found += [
                Timeline(key, str(event), tuple((float(t), float(s), str(w)) for t, s, w in rows))
                for event, rows in data.items()
            ]
        except FileNotFoundError:
            continue
        except (OSError, ValueError, TypeError, AttributeError) as error:
            problems.append(f"{path.name}: no timelines ({error})")
    return tuple(found)


def _lines(path: Path, problems: list[str]) -> Iterable[tuple[int, dict[str, Any]]]:
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise DamagedResults(f"{path}: cannot be read ({error})") from None
    for number, line in enumerate(text.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError:
            problems.append(f"{path.name} line {number}: not JSON (half written?)")
            continue
        if isinstance(record, dict):
            yield number, record
        else:
            problems.append(f"{path.name} line {number}: not a JSON object")
