"""Journal of objects in the making, so that the next `up` can go on after `kill -9`.

An object that was made but never reached Pulumi's state blocks its name: the next create finds it
and must not touch what may be the user's. An entry, written before an object is made, completed
with the object's id and dropped once the engine has it in its state, proves whose it is.

Entries are files under `$PULUMI_HOME/bridge-journal/<plugin>/`, one for each object in the making.
They are dropped when the engine shows the resource in its state (diff, read, update, delete) and
when the engine ends the plugin in order. So only a killed engine leaves entries behind, and one
counts only for the same URN, the same project directory and an engine that is no longer alive.

A plugin outlives its killed engine by some seconds, while its calls notice that and clean up. The
next run waits for that before it makes or looks at an object that the other one had in the making.
A call that has not written its entry by the time its engine is gone makes nothing any more: the
next run may have looked already.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from secrets import token_hex

from plugins.bridge.errors import UserError

_UNFINISHED_S = 60.0
_ORPHAN_WAIT_S = 20.0  # longer than an orphaned plugin lives on
_ORPHAN_POLL_S = 0.05


@dataclass(frozen=True)
class _Record:
    urn: str
    name: str
    token: str
    started_unix_s: float
    project_dir: str
    engine_pid: int
    engine_started_ticks: int
    plugin_pid: int = 0
    plugin_started_ticks: int = 0
    id: str | None = None

    @property
    def is_dead(self) -> bool:
        """Whether the engine that the object was made for is no longer there."""
        return not _runs(self.engine_pid, self.engine_started_ticks)

    @property
    def is_orphaned(self) -> bool:
        """Whether the engine is gone and the plugin is still at work."""
        alive = _runs(self.plugin_pid, self.plugin_started_ticks)
        return alive and self.plugin_pid != os.getpid() and self.is_dead


class Entry:
    """One object in the making."""

    def __init__(self, path: Path, record: _Record) -> None:
        self._path = path
        self._record = record

    @property
    def name(self) -> str:
        """Physical name of the object."""
        return self._record.name

    @property
    def token(self) -> str:
        """Random text that nobody else knows; part of a temporary name, it proves ownership."""
        return self._record.token

    @property
    def id(self) -> str | None:
        """The daemon's id of the object, once recorded."""
        return self._record.id

    @property
    def urn(self) -> str:
        """URN of the resource."""
        return self._record.urn

    @property
    def started_unix_s(self) -> float:
        """Wall-clock time at which the entry was written, before the object was made."""
        return self._record.started_unix_s

    def record(self, id: str) -> None:
        """Write down the id of the object, which exists from now on."""
        self._record = replace(self._record, id=id)
        self._write()

    def drop(self) -> None:
        """Forget the entry: the object is in the state, or is gone again."""
        self._path.unlink(missing_ok=True)

    def _write(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = self._path.with_suffix(".new")
        temporary.write_text(json.dumps(asdict(self._record)))
        temporary.replace(self._path)


class Journal:
    """The entries of one plugin in one project directory."""

    def __init__(self, plugin: str, home: Path | None = None) -> None:
        home = home or Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
        self._dir = home / "bridge-journal" / plugin
        self._project_dir = str(Path.cwd())
        self._engine_pid = os.getppid()
        self._engine_started_ticks = _started_ticks(self._engine_pid) or 0
        self._own: list[Entry] = []
        self._lock = threading.Lock()
        for unfinished in self._dir.glob("*.new"):  # a writer was killed on the way
            with contextlib.suppress(OSError):
                if time.time() - unfinished.stat().st_mtime > _UNFINISHED_S:
                    unfinished.unlink()

    def begin(self, urn: str, name: str) -> Entry:
        """Write that an object called `name` is about to be made for `urn`.

        Call it before looking whether the object is there: see `left_over`. Raises UserError when
        the engine is gone.
        """
        record = _Record(
            urn=urn,
            name=name,
            token=token_hex(8),
            started_unix_s=time.time(),
            project_dir=self._project_dir,
            engine_pid=self._engine_pid,
            engine_started_ticks=self._engine_started_ticks,
            plugin_pid=os.getpid(),
            plugin_started_ticks=_started_ticks(os.getpid()) or 0,
        )
        entry = Entry(self._dir / f"{self._key(urn)}-{record.token}.json", record)
        # Written first: of two runs at the same moment, at least one sees the other.
        entry._write()
        try:
            self._wait_for_orphans(urn)
        except BaseException:
            entry.drop()
            raise
        with self._lock:
            self._own.append(entry)
        return entry

    def left_over(self, urn: str, name: str) -> list[Entry]:
        """Return what killed runs wrote down for this resource and name, newest first.

        Raises UserError when the engine is gone: what is left is the next run's then.
        """
        self._wait_for_orphans(urn)
        return [entry for entry in self._dead(self._key(urn)) if entry.name == name]

    def of_killed_runs(self) -> list[Entry]:
        """Return what killed runs of this project wrote down, newest first."""
        return self._dead("")

    def in_state(self, urn: str, id: str) -> None:
        """Drop the entries of an object that the engine has in its state."""
        for path, record in self._read(self._key(urn)):
            if record.id == id:
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """Drop this process's entries: the engine has ended in order and saved its state."""
        with self._lock:
            for entry in self._own:
                entry.drop()

    def _wait_for_orphans(self, urn: str) -> None:
        deadline = time.monotonic() + _ORPHAN_WAIT_S
        while time.monotonic() < deadline:
            if not _runs(self._engine_pid, self._engine_started_ticks):
                raise UserError("cancelled: the engine is gone")
            if not any(record.is_orphaned for _, record in self._read(self._key(urn))):
                return
            time.sleep(_ORPHAN_POLL_S)

    def _dead(self, key: str) -> list[Entry]:
        found = [
            Entry(path, record)
            for path, record in self._read(key)
            if record.project_dir == self._project_dir and record.is_dead
        ]
        return sorted(found, key=lambda entry: -entry.started_unix_s)

    def _read(self, key: str) -> list[tuple[Path, _Record]]:
        found = []
        for path in self._dir.glob(f"{key}*.json"):
            # Another run may drop an entry while we look; a file cut short says nothing.
            with contextlib.suppress(OSError, ValueError, TypeError):
                found.append((path, _Record(**json.loads(path.read_text()))))
        return found

    def _key(self, urn: str) -> str:
        return hashlib.sha256(f"{self._project_dir}\n{urn}".encode()).hexdigest()[:24]


def _runs(pid: int, started_ticks: int) -> bool:
    """Tell whether the process with that id is there, and the one that was started then."""
    return _started_ticks(pid) == started_ticks


def _started_ticks(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None when it is not there."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] == "Z" else int(fields[19])
