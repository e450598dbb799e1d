"""The gRPC side of a provider plugin: Pulumi's protocol on top of `Provider` and `Resource`."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import grpc
from google.protobuf import any_pb2, empty_pb2
from pulumi.runtime.proto import (
    engine_pb2,
    engine_pb2_grpc,
    plugin_pb2,
    provider_pb2,
    provider_pb2_grpc,
    status_pb2,
)

from plugins.bridge.check import Checker, auto_name
from plugins.bridge.diff import Change, diff_fields
from plugins.bridge.errors import InitFailed, UserError
from plugins.bridge.journal import Journal
from plugins.bridge.paths import covered, top
from plugins.bridge.resource import Operation, Provider, Resource
from plugins.bridge.schema import Kind
from plugins.bridge.values import UNKNOWN, from_struct, has_unknown, to_struct, user_keys

MAX_MESSAGE_BYTES = 400 * 1024 * 1024  # what the engine allows
_PARALLEL_CALLS = 64
_PARENT_POLL_S = 0.25
_END_GRACE_S = 4.0  # the engine kills a plugin 5 s after the interrupt
_ORPHAN_GRACE_S = 15.0

R = TypeVar("R")
Method = Callable[["_Servicer", Any, grpc.ServicerContext], R]

_KINDS: Mapping[tuple[str, bool], int] = {
    ("add", False): provider_pb2.PropertyDiff.ADD,
    ("add", True): provider_pb2.PropertyDiff.ADD_REPLACE,
    ("update", False): provider_pb2.PropertyDiff.UPDATE,
    ("update", True): provider_pb2.PropertyDiff.UPDATE_REPLACE,
    ("delete", False): provider_pb2.PropertyDiff.DELETE,
    ("delete", True): provider_pb2.PropertyDiff.DELETE_REPLACE,
}


def _one_line_errors(method: Method[R]) -> Method[R]:
    """Turn exceptions into a gRPC status whose text is one line for the user."""

    @functools.wraps(method)
    def wrapped(self: _Servicer, request: Any, context: grpc.ServicerContext) -> R:
        try:
            with self.busy():
                return method(self, request, context)
        except InitFailed as error:
            detail = any_pb2.Any()
            detail.Pack(
                provider_pb2.ErrorResourceInitFailed(
                    id=error.id, properties=to_struct(error.state), reasons=error.reasons
                )
            )
            code, message = grpc.StatusCode.UNKNOWN, str(error)
            status = status_pb2.Status(code=code.value[0], message=message, details=[detail])
            context.set_trailing_metadata(
                (("grpc-status-details-bin", status.SerializeToString()),)
            )
        except UserError as error:
            code, message = grpc.StatusCode.UNKNOWN, str(error)
        except NotImplementedError as error:
            code, message = grpc.StatusCode.UNIMPLEMENTED, str(error)
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            text = " ".join(str(error).split())
            message = (
                f"internal error of the {self.provider.name} bridge plugin: "
                f"{type(error).__name__}: {text} ({Path(where.filename).name}:{where.lineno})"
            )
            code = grpc.StatusCode.INTERNAL
        # Outside the handlers: abort works by raising.
        return context.abort(code, message)  # type: ignore[no-any-return]

    return wrapped


class _Servicer(provider_pb2_grpc.ResourceProviderServicer):
    def __init__(self, provider: Provider, engine_address: str | None) -> None:
        self.provider = provider
        self.journal = Journal(provider.name)
        self.cancelled = threading.Event()
        self._types = {cls.token: cls(provider) for cls in provider.resources}
        self._engine: engine_pb2_grpc.EngineStub | None = None
        if engine_address:
            self.connect(engine_address)
        self._running = 0
        self._idle = threading.Condition()

    def connect(self, address: str) -> None:
        self._engine = engine_pb2_grpc.EngineStub(grpc.insecure_channel(address))

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        with self._idle:
            self._running += 1
        try:
            yield
        finally:
            with self._idle:
                self._running -= 1
                self._idle.notify_all()

    def wait_idle(self, timeout_s: float) -> bool:
        """Wait until no call is running."""
        with self._idle:
            return self._idle.wait_for(lambda: self._running == 0, timeout_s)

    # Plugin and configuration

    @_one_line_errors
    def Handshake(self, request: Any, context: grpc.ServicerContext) -> Any:
        if request.engine_address:
            self.connect(request.engine_address)
        # Secrets come unwrapped; the engine marks outputs again that carry the input's name.
        return provider_pb2.ProviderHandshakeResponse()

    @_one_line_errors
    def Attach(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.connect(request.address)
        return empty_pb2.Empty()

    @_one_line_errors
    def GetPluginInfo(self, request: Any, context: grpc.ServicerContext) -> Any:
        return plugin_pb2.PluginInfo(version=self.provider.version)

    @_one_line_errors
    def GetSchema(self, request: Any, context: grpc.ServicerContext) -> Any:
        schema = {"name": self.provider.name, "version": self.provider.version}
        return provider_pb2.GetSchemaResponse(schema=json.dumps(schema))

    @_one_line_errors
    def CheckConfig(self, request: Any, context: grpc.ServicerContext) -> Any:
        news = from_struct(request.news)
        checker = Checker(f"{self.provider.name}.Provider", self._remedy)
        checker.fields(self.provider.config, self._decoded_config(news), "", mark=False)
        return provider_pb2.CheckResponse(inputs=request.news, failures=_failures(checker))

    @_one_line_errors
    def DiffConfig(self, request: Any, context: grpc.ServicerContext) -> Any:
        olds = self._decoded_config(from_struct(request.olds))
        news = self._decoded_config(from_struct(request.news))
        return _diff_response(list(diff_fields(self.provider.config, olds, news)), False)

    @_one_line_errors
    def Configure(self, request: Any, context: grpc.ServicerContext) -> Any:
        config = self._decoded_config(from_struct(request.args))
        if not has_unknown(config):
            self.provider.configure(config)
        return provider_pb2.ConfigureResponse(supportsPreview=True)

    def _decoded_config(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Leave out the engine's own keys and decode what the SDK sends as JSON text."""
        decoded: dict[str, Any] = {}
        for key, value in config.items():
            if key.startswith("__") or key in ("version", "pluginDownloadURL"):
                continue
            prop = self.provider.config.get(key)
            if prop is not None and prop.kind is not Kind.STRING and isinstance(value, str):
                with contextlib.suppress(ValueError):
                    value = json.loads(value)
            decoded[key] = value
        return decoded

    @_one_line_errors
    def Cancel(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.cancelled.set()
        return empty_pb2.Empty()

    # Resources

    @_one_line_errors
    def Check(self, request: Any, context: grpc.ServicerContext) -> Any:
        resource = self._resource(request.urn)
        op = self._operation(request.urn)
        olds, news = from_struct(request.olds), from_struct(request.news)
        checker = Checker(resource.token.rpartition(":")[2], self._remedy)
        name = resource.autoname
        named = name is None or news.get(name) is not None
        if name is not None and not named:
            news[name] = auto_name(op.logical_name, request.randomSeed, olds, name)
        inputs = checker.fields(resource.inputs, news, "", mark=resource.marks_defaults)
        if not named and resource.marks_defaults:
            inputs["__defaults"] = sorted([*inputs["__defaults"], name])
        if not checker.failures:
            checker.failures += resource.check(op, inputs, olds)
        return provider_pb2.CheckResponse(inputs=to_struct(inputs), failures=_failures(checker))

    @_one_line_errors
    def Diff(self, request: Any, context: grpc.ServicerContext) -> Any:
        resource = self._resource(request.urn)
        self.journal.in_state(request.urn, request.id)
        olds, news = from_struct(request.olds), from_struct(request.news)
        old_inputs = from_struct(request.old_inputs)
        changes = list(diff_fields(resource.inputs, user_keys(olds), user_keys(news)))
        changes = resource.adjust_diff(changes, olds, old_inputs, news)
        # The engine has put the old inputs back by now; what the state says otherwise is ignored.
        changes = [c for c in changes if not covered(c.path, request.ignoreChanges)]
        name = resource.autoname
        # A name that the program fixed can't be had twice: the old object has to go first.
        delete_first = (
            name is not None
            and name not in news.get("__defaults", ())
            and olds.get(name) == news.get(name)
        )
        return _diff_response(changes, delete_first)

    @_one_line_errors
    def Create(self, request: Any, context: grpc.ServicerContext) -> Any:
        resource = self._resource(request.urn)
        inputs = user_keys(from_struct(request.properties))
        if request.preview:
            self._preview(resource, request.urn, inputs)
            state = {**self._unknown_outputs(resource), **inputs}
            return provider_pb2.CreateResponse(properties=to_struct(state))
        self._go_on()
        created = resource.create(self._operation(request.urn), inputs)
        return provider_pb2.CreateResponse(id=created.id, properties=to_struct(created.state))

    @_one_line_errors
    def Read(self, request: Any, context: grpc.ServicerContext) -> Any:
        resource = self._resource(request.urn)
        self.journal.in_state(request.urn, request.id)
        old_state = from_struct(request.properties)
        old_inputs = from_struct(request.inputs)
        state = resource.read(self._operation(request.urn), request.id, old_state)
        if state is None:
            return provider_pb2.ReadResponse()
        inputs = resource.refresh_inputs(old_inputs, state)
        return provider_pb2.ReadResponse(
            id=str(state.get("id") or request.id),
            properties=to_struct(state),
            inputs=to_struct(inputs),
        )

    @_one_line_errors
    def Update(self, request: Any, context: grpc.ServicerContext) -> Any:
        resource = self._resource(request.urn)
        self.journal.in_state(request.urn, request.id)
        olds, news = from_struct(request.olds), user_keys(from_struct(request.news))
        if request.preview:
            self._preview(resource, request.urn, news)
            state = {**olds, **news, **dict.fromkeys(resource.volatile, UNKNOWN)}
        else:
            self._go_on()
            state = resource.update(self._operation(request.urn), request.id, olds, news)
        return provider_pb2.UpdateResponse(properties=to_struct(state))

    @_one_line_errors
    def Delete(self, request: Any, context: grpc.ServicerContext) -> Any:
        resource = self._resource(request.urn)
        state = from_struct(request.properties)
        resource.delete(self._operation(request.urn), request.id, state)
        self.journal.in_state(request.urn, request.id)
        return empty_pb2.Empty()

    @_one_line_errors
    def Invoke(self, request: Any, context: grpc.ServicerContext) -> Any:
        raise UserError(f"the function {request.tok} is not supported by {self._remedy}")

    def _go_on(self) -> None:
        if self.cancelled.is_set():
            raise UserError("cancelled")

    def _preview(self, resource: Resource[Any], urn: str, inputs: dict[str, Any]) -> None:
        if not has_unknown(inputs):
            resource.preview(self._operation(urn), inputs)

    @property
    def _remedy(self) -> str:
        return f"this bridge plugin; install Pulumi's {self.provider.upstream}"

    def _resource(self, urn: str) -> Resource[Any]:
        token = urn.split("::", 3)[2].rpartition("$")[2]
        if token not in self._types:
            raise UserError(f"the resource type {token} is not supported by {self._remedy}")
        return self._types[token]

    def _operation(self, urn: str) -> Operation:
        def log(severity: str, text: str, ephemeral: bool) -> None:
            if self._engine is None:
                return
            level = engine_pb2.WARNING if severity == "warning" else engine_pb2.INFO
            message = engine_pb2.LogRequest(
                severity=level, message=text, urn=urn, ephemeral=ephemeral
            )
            with contextlib.suppress(grpc.RpcError):  # a lost line of progress is no failure
                self._engine.Log(message)

        return Operation(urn, self.journal, self.cancelled, log)

    @staticmethod
    def _unknown_outputs(resource: Resource[Any]) -> dict[str, Any]:
        computed = {name for name, prop in resource.inputs.items() if prop.computed}
        return dict.fromkeys([*computed, *resource.outputs], UNKNOWN)


def _failures(checker: Checker) -> list[Any]:
    return [
        provider_pb2.CheckFailure(property=failure.path, reason=failure.reason)
        for failure in checker.failures
    ]


def _diff_response(changes: list[Change], delete_first: bool) -> Any:
    response = provider_pb2.DiffResponse(
        changes=provider_pb2.DiffResponse.DIFF_SOME
        if changes
        else provider_pb2.DiffResponse.DIFF_NONE,
        hasDetailedDiff=True,
    )
    for change in changes:
        kind = _KINDS[change.kind, change.replace]
        response.detailedDiff[change.path].CopyFrom(
            provider_pb2.PropertyDiff(kind=kind)  # type: ignore[arg-type]
        )
        if change.replace:
            response.replaces.append(change.path)
    response.diffs.extend(sorted({top(change.path) for change in changes}))
    response.deleteBeforeReplace = delete_first and bool(response.replaces)
    return response


def serve(provider: Provider) -> None:
    """Serve a provider until the engine ends the plugin; never returns before that."""
    logging.basicConfig(level=logging.WARNING)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    parent = os.getppid()
    address = next((arg for arg in reversed(sys.argv[1:]) if not arg.startswith("-")), None)
    servicer = _Servicer(provider, address)
    server = grpc.server(
        ThreadPoolExecutor(_PARALLEL_CALLS),
        options=[
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ],
    )
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    while not stop.wait(_PARENT_POLL_S) and os.getppid() == parent:
        pass
    servicer.cancelled.set()
    if os.getppid() == parent:
        # In order: the engine has saved its state by now. Calls that still run are given up.
        if servicer.wait_idle(_END_GRACE_S):
            servicer.journal.close()
    else:
        # The engine was killed. Running calls notice the cancellation and clean up; what they
        # can't is in the journal.
        servicer.wait_idle(_ORPHAN_GRACE_S)
    server.stop(0)
    os._exit(0)  # a worker thread that hangs in a daemon must not keep the process
