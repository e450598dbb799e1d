"""A provider plugin as a child process, spoken to over gRPC."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc, status_pb2

from plugins.bridge.values import from_struct, to_struct
from tests.support import ROOT

_CALL_S = 60.0


def urn(token: str, name: str, stack: str = "test") -> str:
    return f"urn:pulumi:{stack}::plugtest::{token}::{name}"


class ProviderProcess:
    """Starts `plugins/bin/pulumi-resource-<name>`."""

    def __init__(
        self, root: Path, name: str, *, home: Path, cwd: Path, config: dict[str, Any] | None = None
    ) -> None:
        environment = {**os.environ, "PULUMI_HOME": str(home)}
        self.process = subprocess.Popen(
            [str(root / "plugins" / "bin" / f"pulumi-resource-{name}")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=environment,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        self._channel = grpc.insecure_channel(f"127.0.0.1:{self.port}")
        self.stub = provider_pb2_grpc.ResourceProviderStub(self._channel)
        self.stub.Configure(
            provider_pb2.ConfigureRequest(args=to_struct(config or {})), timeout=_CALL_S
        )

    def check(
        self, token: str, news: dict[str, Any], olds: dict[str, Any] | None = None, name: str = "r"
    ) -> tuple[dict[str, Any], dict[str, str]]:
        """Return the checked inputs and the failures, reason by path."""
        answer = self.stub.Check(
            provider_pb2.CheckRequest(
                urn=urn(token, name),
                news=to_struct(news),
                olds=to_struct(olds or {}),
                randomSeed=b"0123456789abcdef",
            ),
            timeout=_CALL_S,
        )
        failures = {failure.property: failure.reason for failure in answer.failures}
        return from_struct(answer.inputs), failures

    def diff(
        self,
        token: str,
        state: dict[str, Any],
        news: dict[str, Any],
        old_inputs: dict[str, Any] | None = None,
        ignore: tuple[str, ...] = (),
    ) -> tuple[dict[str, str], bool]:
        """Return kind by path, and whether the old object goes first."""
        answer = self.stub.Diff(
            provider_pb2.DiffRequest(
                id="id",
                urn=urn(token, "r"),
                olds=to_struct(state),
                news=to_struct(news),
                old_inputs=to_struct(news if old_inputs is None else old_inputs),
                ignoreChanges=ignore,
            ),
            timeout=_CALL_S,
        )
        kinds = {
            path: provider_pb2.PropertyDiff.Kind.Name(diff.kind)
            for path, diff in answer.detailedDiff.items()
        }
        some = provider_pb2.DiffResponse.DIFF_SOME
        assert (answer.changes == some) == bool(kinds)
        return kinds, answer.deleteBeforeReplace

    def create(
        self, token: str, inputs: dict[str, Any], *, name: str = "r", preview: bool = False
    ) -> tuple[str, dict[str, Any]]:
        """Check the inputs and create from what comes out."""
        checked, failures = self.check(token, inputs, name=name)
        assert not failures
        answer = self.stub.Create(
            provider_pb2.CreateRequest(
                urn=urn(token, name), properties=to_struct(checked), preview=preview
            ),
            timeout=_CALL_S,
        )
        return answer.id, from_struct(answer.properties)

    def read(
        self,
        token: str,
        id: str,
        state: dict[str, Any] | None = None,
        inputs: dict[str, Any] | None = None,
    ) -> tuple[str, dict[str, Any], dict[str, Any]]:
        """Return id ("" when gone), state and inputs."""
        answer = self.stub.Read(
            provider_pb2.ReadRequest(
                id=id,
                urn=urn(token, "r"),
                properties=to_struct(state or {}),
                inputs=to_struct(inputs or {}),
            ),
            timeout=_CALL_S,
        )
        return answer.id, from_struct(answer.properties), from_struct(answer.inputs)

    def update(
        self, token: str, id: str, state: dict[str, Any], news: dict[str, Any]
    ) -> dict[str, Any]:
        answer = self.stub.Update(
            provider_pb2.UpdateRequest(
                id=id, urn=urn(token, "r"), olds=to_struct(state), news=to_struct(news)
            ),
            timeout=_CALL_S,
        )
        return from_struct(answer.properties)

    def delete(self, token: str, id: str, state: dict[str, Any]) -> None:
        self.stub.Delete(
            provider_pb2.DeleteRequest(id=id, urn=urn(token, "r"), properties=to_struct(state)),
            timeout=_CALL_S,
        )

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def close(self) -> str:
        """End the plugin as the engine does and return what it wrote to stderr."""
        self._channel.close()
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
        _, stderr = self.process.communicate(timeout=10)
        return stderr


def message(error: grpc.RpcError) -> str:
    """Return the text of a failed call."""
    return str(error.details())


def init_failure(error: grpc.RpcError) -> Any:
    """Return the ErrorResourceInitFailed that a failed call carries."""
    metadata = dict(error.trailing_metadata())
    status = status_pb2.Status.FromString(metadata["grpc-status-details-bin"])
    failure = provider_pb2.ErrorResourceInitFailed()
    assert status.details[0].Unpack(failure)
    return failure


@contextlib.contextmanager
def providers(folder: Path) -> Iterator[Callable[..., ProviderProcess]]:
    """Give what starts provider plugins as the engine does, each of which ends with the block."""
    started: list[ProviderProcess] = []

    def start(name: str = "docker", *, config: dict[str, Any] | None = None) -> ProviderProcess:
        process = ProviderProcess(ROOT, name, home=folder / "home", cwd=folder, config=config)
        started.append(process)
        return process

    yield start
    for process in started:
        process.close()
