"""The gRPC side of the language host."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import grpc
from google.protobuf import empty_pb2, json_format
from pulumi.runtime.proto import (
    engine_pb2,
    engine_pb2_grpc,
    language_pb2,
    language_pb2_grpc,
    plugin_pb2,
)

from plugins.language.environment import Environment, SetupError

MAX_MESSAGE_BYTES = 400 * 1024 * 1024  # what the engine allows
SHOWN_EXIT_CODE = 32  # the program has shown its error to the user already
_PROGRAM = Path(__file__).with_name("program.py")
_PARENT_POLL_S = 0.25
_CHILD_GRACE_S = 3.0

R = TypeVar("R")
Method = Callable[["LanguageHost", Any, grpc.ServicerContext], R]


def _one_line_errors(method: Method[R]) -> Method[R]:
    @functools.wraps(method)
    def wrapped(self: LanguageHost, request: Any, context: grpc.ServicerContext) -> R:
        try:
            return method(self, request, context)
        except SetupError as error:
            message = str(error)
        return context.abort(grpc.StatusCode.UNKNOWN, message)  # type: ignore[no-any-return]

    return wrapped


class Children:
    """Child processes, ended with the host."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._ended: set[int] = set()
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def start(
        self, command: list[str], context: grpc.ServicerContext, **options: Any
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Start a child in its own session, so that the terminal's Ctrl-C does not reach it.

        It is ended when the call is cancelled.
        """
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, start_new_session=True, **options
        )
        with self._lock:
            self._running.add(child)
        context.add_callback(lambda: self._end(child))
        try:
            yield child
        finally:
            child.wait()
            with self._lock:
                self._running.discard(child)

    def end_all(self) -> None:
        """End every child."""
        with self._lock:
            running = list(self._running)
        for child in running:
            self._end(child)

    def ended(self, child: subprocess.Popen[bytes]) -> bool:
        """Tell whether a child was ended from here and not by itself."""
        return child.pid in self._ended

    def _end(self, child: subprocess.Popen[bytes]) -> None:
        if child.poll() is not None:
            return
        self._ended.add(child.pid)
        child.terminate()  # Python's default for SIGTERM prints nothing
        try:
            child.wait(_CHILD_GRACE_S)
        except subprocess.TimeoutExpired:
            child.kill()


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """Runs each program in a fresh child process of the project's own Python."""

    def __init__(self, engine_address: str) -> None:
        self._engine_address = engine_address
        self.children = Children()

    def Handshake(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: D102
        self._engine_address = request.engine_address or self._engine_address
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: D102
        return plugin_pb2.PluginInfo(version=version("pulumi"))

    @_one_line_errors
    def About(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: D102
        environment = _environment(request.info)
        python = environment.query("-c", "import platform; print(platform.python_version())")
        return language_pb2.AboutResponse(executable=environment.python, version=python)

    @_one_line_errors
    def GetRequiredPackages(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: D102
        packages = [
            plugin_pb2.PackageDependency(kind="resource", name=name, version=_tag(number))
            for name, number in _environment(request.info).pulumi_plugins()
        ]
        return language_pb2.GetRequiredPackagesResponse(packages=packages)

    @_one_line_errors
    def GetRequiredPlugins(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: D102
        plugins = [
            plugin_pb2.PluginDependency(kind="resource", name=name, version=_tag(number))
            for name, number in _environment(request.info).pulumi_plugins()
        ]
        return language_pb2.GetRequiredPluginsResponse(plugins=plugins)

    @_one_line_errors
    def GetProgramDependencies(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: D102
        listed = _environment(request.info).packages(transitive=request.transitiveDependencies)
        return language_pb2.GetProgramDependenciesResponse(
            dependencies=[
                language_pb2.DependencyInfo(name=name, version=version) for name, version in listed
            ]
        )

    def RuntimeOptionsPrompts(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: D102
        return language_pb2.RuntimeOptionsResponse()

    def InstallDependencies(  # noqa: D102
        self, request: Any, context: grpc.ServicerContext
    ) -> Iterator[Any]:
        try:
            for line in _environment(request.info).install(Path(request.directory)):
                yield language_pb2.InstallDependenciesResponse(stdout=line.encode())
        except SetupError as error:
            context.abort(grpc.StatusCode.UNKNOWN, str(error))

    def Run(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: D102
        try:
            environment = _environment(request.info)
            python = environment.python
        except SetupError as error:
            return self._failed(str(error))
        command = [
            python,
            "-u",
            str(_PROGRAM),
            *("--monitor", request.monitor_address),
            *("--engine", self._engine_address),
            *("--project", request.project),
            *("--stack", request.stack),
            *("--organization", request.organization),
            *("--pwd", request.pwd),
            *("--root_directory", request.info.root_directory),
            *("--dry_run", "true" if request.dryRun else "false"),
            *("--parallel", str(request.parallel)),
            request.program or request.info.entry_point or ".",
            *request.args,
        ]
        variables = environment.variables()
        variables["PULUMI_CONFIG"] = json.dumps(dict(request.config))
        variables["PULUMI_CONFIG_SECRET_KEYS"] = json.dumps(list(request.configSecretKeys))
        with self.children.start(command, context, env=variables) as child:
            code = child.wait()
        if code in (0, SHOWN_EXIT_CODE) or self.children.ended(child):
            return language_pb2.RunResponse(bail=code != 0)
        how = f"was ended by signal {-code}" if code < 0 else f"exited with code {code}"
        return self._failed(f"the program {how}")

    def _failed(self, text: str) -> Any:
        """Show an error and end the run; an error in the response would get a prefix."""
        engine = engine_pb2_grpc.EngineStub(grpc.insecure_channel(self._engine_address))
        engine.Log(engine_pb2.LogRequest(severity=engine_pb2.ERROR, message=text))
        return language_pb2.RunResponse(bail=True)

    def RunPlugin(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:  # noqa: D102
        try:
            environment = _environment(request.info)
            python = environment.python
        except SetupError as error:
            context.abort(grpc.StatusCode.UNKNOWN, str(error))
        variables = environment.variables()
        variables.update(item.partition("=")[::2] for item in request.env)
        program = str(Path(request.info.program_directory, request.info.entry_point))
        with self.children.start(
            [python, "-u", program, *request.args],
            context,
            cwd=request.pwd,
            env=variables,
            stdout=subprocess.PIPE,
        ) as child:
            assert child.stdout is not None
            for line in child.stdout:
                yield language_pb2.RunPluginResponse(stdout=line)
            code = child.wait()
        yield language_pb2.RunPluginResponse(exitcode=code)

    def Cancel(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: D102
        self.children.end_all()
        return empty_pb2.Empty()


def _environment(info: Any) -> Environment:
    return Environment.of_project(info.root_directory, json_format.MessageToDict(info.options))


def _tag(number: str) -> str:
    return f"v{number}" if number else ""


def main() -> None:
    """Serve until the engine ends the host."""
    logging.basicConfig(level=logging.WARNING)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    parent = os.getppid()
    address = next((arg for arg in reversed(sys.argv[1:]) if not arg.startswith("-")), "")
    host = LanguageHost(address)
    server = grpc.server(
        ThreadPoolExecutor(16),
        options=[
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ],
    )
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    while not stop.wait(_PARENT_POLL_S) and os.getppid() == parent:
        pass
    host.children.end_all()
    server.stop(0)
    os._exit(0)  # worker threads must not keep the process
