"""Progress on the terminal: lines that are redrawn on a tty, plain lines elsewhere."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from dataclasses import dataclass
from typing import TextIO

from toolchain.steps import Outcome, Reporter, last_lines

MARKS = {"present": "=", "done": "+", "failed": "x", "stopped": "-", "not run": " "}
REDRAW_S = 0.5
REMIND_S = 60.0


def clock(seconds: float) -> str:
    """Return a duration for reading: `7.4 s`, `5m52s`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60}m{int(seconds) % 60:02d}s"


@dataclass
class _Running:
    detail: str
    started_s: float
    last_s: float | None


def make_reporter(out: TextIO | None = None) -> Terminal:
    """Return the reporter that suits where stdout goes."""
    stream = out or sys.stdout
    live = stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    return Terminal(stream, live=live)


class Terminal(Reporter):
    """One line per step; `live` redraws the running ones, else there is a line at each change.

    Safe to call from several threads.
    """

    def __init__(self, out: TextIO, *, live: bool) -> None:
        self._out = out
        self._live = live
        self._running: dict[str, _Running] = {}
        self._drawn = 0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)
        self._ticker.start()

    def close(self) -> None:
        """Stop redrawing and leave the cursor below the last line."""
        self._stop.set()
        self._ticker.join(timeout=2 * REDRAW_S)
        with self._lock:
            self._erase()
            self._out.flush()

    def started(self, name: str, detail: str, last_s: float | None) -> None:
        """Show that a step began."""
        with self._lock:
            self._running[name] = _Running(detail, time.monotonic(), last_s)
            if self._live:
                self._redraw()
            else:
                self._print(f"  {name:<18} {detail}{_last(last_s)}")

    def changed(self, name: str, detail: str) -> None:
        """Show a step's new description."""
        with self._lock:
            if name in self._running:
                self._running[name].detail = detail
            if not self._live:
                self._print(f"  {name:<18} {detail}")

    def ended(self, outcome: Outcome) -> None:
        """Show the line that stays, and for a failure its reason and the log's last lines."""
        with self._lock:
            was_running = self._running.pop(outcome.name, None)
            self._erase()
            if outcome.state == "stopped" and was_running is None:
                return
            took = "" if outcome.state == "present" else clock(outcome.elapsed_s)
            text = outcome.error if outcome.state == "failed" else outcome.detail
            if outcome.state == "stopped":
                text = "stopped"
            self._print(f"{MARKS[outcome.state]} {outcome.name:<18} {text}  {took}".rstrip())
            if outcome.state == "failed":
                # Where nothing but our own refusal is in the log, the line above says it all.
                lines = [x for x in last_lines(outcome.log) if not x.startswith("failed: ")]
                for line in lines:
                    self._print(f"    | {line}")
                if lines:
                    self._print(f"    | whole log: {outcome.log}")
                if self._running:
                    waits = ", ".join(self._running)
                    self._print(f"    waiting for {waits} to end (Ctrl-C stops it)")
            self._draw()

    def note(self, text: str) -> None:
        """Show a line that belongs to no step."""
        with self._lock:
            self._erase()
            self._print(text)
            self._draw()

    def _tick(self) -> None:
        reminded_s = time.monotonic()
        while not self._stop.wait(REDRAW_S):
            with self._lock:
                if self._live:
                    self._redraw()
                elif time.monotonic() - reminded_s >= REMIND_S and self._running:
                    reminded_s = time.monotonic()
                    now_s = time.monotonic()
                    self._print(
                        "  … "
                        + ", ".join(
                            f"{name} {clock(now_s - one.started_s)}{_last(one.last_s)}"
                            for name, one in self._running.items()
                        )
                    )

    def _print(self, line: str) -> None:
        self._out.write(line + "\n")
        self._out.flush()

    def _redraw(self) -> None:
        self._erase()
        self._draw()
        self._out.flush()

    def _erase(self) -> None:
        if self._drawn:
            self._out.write(f"\x1b[{self._drawn}A\x1b[J")
            self._drawn = 0

    def _draw(self) -> None:
        if not self._live:
            return
        width = shutil.get_terminal_size().columns - 1
        now_s = time.monotonic()
        for name, one in self._running.items():
            elapsed = f"  {clock(now_s - one.started_s)}{_last(one.last_s)}"
            line = f"  {name:<18} {one.detail}"
            self._out.write(line[: max(0, width - len(elapsed))] + elapsed + "\n")
            self._drawn += 1


def _last(last_s: float | None) -> str:
    return f" (last time {clock(last_s)})" if last_s is not None else ""
