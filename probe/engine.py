"""Pulumi's Automation API, as far as the probe needs it: the only file that imports Pulumi.

The project is run as a local program in its own folder, under a stack name of the probe's own. The
calls run in a thread, so that Ctrl-C reaches the probe at once; it then asks the engine to stop and
waits for it, as a killed engine leaves locks and half-made resources behind.
"""

from __future__ import annotations

import contextlib
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil
from pulumi import automation as auto

from probe.errors import ProbeError

#: Our stacks in somebody's backend begin with this.
PREFIX: Final = "cmp-"
NAMESPACE: Final = "triptych"
#: How long an interrupted engine may take to end by itself (seconds).
PATIENCE_S: Final = 60.0
_STREAM: Final = re.compile(r"^\s*std(out|err): ?")


class EngineFailed(ProbeError):
    """The engine ended with an error; the text is its last diagnostic."""


class EngineTimedOut(EngineFailed):
    """The engine did not end in time and was interrupted."""


@dataclass(slots=True)
class UpResult:
    """What an ``up`` left behind and when, on the host's monotonic clock."""

    started_at: float
    first_event_at: float | None = None
    done_at: float | None = None
    error: str = ""
    outputs: dict[str, Any] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)


class Engine:
    """Stacks of this project, by name."""

    def __init__(
        self,
        root: Path,
        env: Mapping[str, str],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._root = root
        self._clock = clock
        self._env = {
            **env,
            "PULUMI_SKIP_UPDATE_CHECK": "1",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "1",
        }
        local = root / ".triptych"
        try:
            self._command = (
                auto.PulumiCommand(root=str(local))
                if (local / "bin" / "pulumi").exists()
                else auto.PulumiCommand()
            )
        except (OSError, ValueError) as error:
            raise ProbeError(f"no Pulumi CLI ({error}): run `make setup` first") from None

    @property
    def version(self) -> str:
        """Return the CLI's version."""
        return str(self._command.version or "unknown")

    def _options(self) -> auto.LocalWorkspaceOptions:
        return auto.LocalWorkspaceOptions(
            work_dir=str(self._root), env_vars=self._env, pulumi_command=self._command
        )

    def _select(self, name: str) -> auto.Stack:
        try:
            return auto.select_stack(
                stack_name=name, work_dir=str(self._root), opts=self._options()
            )
        except auto.StackNotFoundError:
            raise ProbeError(
                f"no stack named {name}: `pulumi stack ls` lists those there are"
            ) from None
        except auto.CommandError as error:
            raise EngineFailed(last_line(str(error))) from None

    def create(self, name: str, config: Mapping[str, str]) -> None:
        """Make a stack with this configuration."""
        try:
            stack = auto.create_or_select_stack(
                stack_name=name, work_dir=str(self._root), opts=self._options()
            )
            stack.set_all_config(
                {f"{NAMESPACE}:{key}": auto.ConfigValue(value) for key, value in config.items()}
            )
        except auto.CommandError as error:
            raise EngineFailed(last_line(str(error))) from None

    def keep_secret(self, name: str, key: str, value: str | None) -> None:
        """Set a key of a stack's configuration, encrypted; None takes it out."""
        stack, full = self._select(name), f"{NAMESPACE}:{key}"
        try:
            if value is None:
                stack.remove_config(full)
            else:
                stack.set_config(full, auto.ConfigValue(value, secret=True))
        except auto.CommandError as error:
            raise EngineFailed(last_line(str(error))) from None

    def outputs(self, name: str) -> dict[str, Any]:
        """Return the outputs of a stack, empty when it is not up."""
        return {k: v.value for k, v in self._select(name).outputs().items()}

    def up(self, name: str, timeout_s: float) -> UpResult:
        """Deploy; the error, if any, is in the result, as half a deployment is measured too."""
        stack = self._select(name)
        result = UpResult(started_at=self._clock())

        def on_event(event: auto.EngineEvent) -> None:
            now = self._clock()
            if result.first_event_at is None:
                result.first_event_at = now
            note = _describe(event)
            if note:
                result.events.append({"at": now, **note})
            if event.summary_event is not None:
                result.done_at = now
            if event.diagnostic_event is not None and event.diagnostic_event.severity == "error":
                result.error = result.error or last_line(event.diagnostic_event.message)

        result.started_at = self._clock()
        try:
            done = self._guarded(
                lambda: stack.up(on_event=on_event, color="never", suppress_progress=True),
                timeout_s,
            )
        except (auto.CommandError, EngineFailed) as error:
            result.error = result.error or last_line(str(error))
            with contextlib.suppress(auto.CommandError, ProbeError):
                result.outputs = self.outputs(name)
            return result
        if result.done_at is None:
            result.done_at = self._clock()
        result.outputs = {k: v.value for k, v in done.outputs.items()}
        return result

    def preview_seconds(self, name: str) -> tuple[float, int]:
        """Return how long a preview takes and how many changes it finds."""
        stack = self._select(name)
        began = self._clock()
        try:
            result = stack.preview(color="never")
        except auto.CommandError as error:
            raise EngineFailed(last_line(str(error))) from None
        changes = sum(
            count
            for op, count in result.change_summary.items()
            if str(op) not in ("same", "read") and getattr(op, "value", op) not in ("same", "read")
        )
        return self._clock() - began, changes

    def resources(self, name: str) -> dict[str, int]:
        """Return how many resources of each type the stack's state holds, the stack left out."""
        deployment = self._select(name).export_stack().deployment or {}
        kinds: Counter[str] = Counter(r["type"] for r in deployment.get("resources", []))
        return {
            kind: count
            for kind, count in kinds.items()
            if kind != "pulumi:pulumi:Stack" and not kind.startswith("pulumi:providers:")
        }

    def destroy(self, name: str, timeout_s: float = 300.0) -> float:
        """Destroy everything in the stack and return how long it took."""
        stack = self._select(name)
        began = self._clock()

        def destroy() -> Any:
            return self._guarded(lambda: stack.destroy(color="never"), timeout_s)

        try:
            try:
                destroy()
            except auto.ConcurrentUpdateError:
                # The lock of an engine that was killed.
                stack.cancel()
                destroy()
        except auto.CommandError as error:
            raise EngineFailed(last_line(str(error))) from None
        return self._clock() - began

    def remove(self, name: str) -> None:
        """Remove the stack, its history and its configuration file."""
        with contextlib.suppress(auto.CommandError):
            workspace = auto.LocalWorkspace(
                work_dir=str(self._root), env_vars=self._env, pulumi_command=self._command
            )
            workspace.remove_stack(name, force=True)
        (self._root / f"Pulumi.{name}.yaml").unlink(missing_ok=True)

    def names(self) -> list[str]:
        """Return the names of the stacks that the probe has made, finished or not."""
        workspace = auto.LocalWorkspace(
            work_dir=str(self._root), env_vars=self._env, pulumi_command=self._command
        )
        try:
            stacks = workspace.list_stacks()
        except auto.CommandError as error:
            raise EngineFailed(last_line(str(error))) from None
        names = {s.name.rpartition("/")[2] for s in stacks}
        names |= {p.name[7:-5] for p in self._root.glob(f"Pulumi.{PREFIX}*.yaml")}
        return sorted(n for n in names if n.startswith(PREFIX))

    def _guarded(self, call: Callable[[], Any], timeout_s: float) -> Any:
        """Run a call of the Automation API in a thread; stop the engine on Ctrl-C or time-out."""
        box: dict[str, Any] = {}

        def run() -> None:
            try:
                box["value"] = call()
            except BaseException as error:
                box["error"] = error

        thread = threading.Thread(target=run, name="engine", daemon=True)
        thread.start()
        end = time.monotonic() + timeout_s
        try:
            while thread.is_alive():
                thread.join(0.2)
                if thread.is_alive() and time.monotonic() > end:
                    _interrupt(thread)
                    raise EngineTimedOut(f"the engine did not end within {timeout_s:.0f} s")
        except KeyboardInterrupt:
            _interrupt(thread)
            raise
        if "error" in box:
            raise box["error"]
        return box["value"]


def _interrupt(thread: threading.Thread) -> None:
    """Ask our engine processes to stop, once gently and once more firmly, and wait for them."""
    for attempt in (signal.SIGINT, signal.SIGINT, signal.SIGKILL):
        for child in psutil.Process().children():
            with contextlib.suppress(psutil.Error):
                if child.name() == "pulumi":
                    child.send_signal(attempt)
        thread.join(PATIENCE_S if attempt is signal.SIGINT else 5)
        if not thread.is_alive():
            return


def _describe(event: auto.EngineEvent) -> dict[str, Any]:
    """Return what is worth keeping of an event: which resource began or ended."""
    for kind, item in (
        ("begin", event.resource_pre_event),
        ("end", event.res_outputs_event),
        ("failed", event.res_op_failed_event),
    ):
        if item is not None:
            data = item.metadata
            return {"what": kind, "type": data.type, "name": data.urn.rpartition("::")[2]}
    return {}


def last_line(text: str) -> str:
    """Return the line of an engine's output that says what went wrong."""
    # The Automation API puts the streams' names before their first lines.
    said = (_STREAM.sub("", line).strip() for line in text.splitlines())
    lines = [line for line in said if line]
    for line in lines:
        if line.startswith("error:"):
            rest = line.removeprefix("error:").strip()
            if rest and not rest.startswith(("update failed", "an unhandled error")):
                return rest
    return lines[-1] if lines else "the engine ended without a word"
