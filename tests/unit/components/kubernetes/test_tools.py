"""Programs for clusters, and kubeconfig files."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.kubernetes import tools
from components.kubernetes.tools import kubeconfig_file
from probe import project


def test_the_probe_looks_where_the_stack_writes() -> None:
    assert kubeconfig_file("x") == project.KUBECONFIGS / "x"


class TestTools:
    def test_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tools, "find", lambda _name: None)
        with pytest.raises(tools.ToolError, match="kind is missing: run `make build`"):
            tools.run("kind", "version")

    def test_too_slow(self) -> None:
        with pytest.raises(tools.ToolError, match=r"sleep 60: no end after 0\.1 s"):
            tools.run("sleep", "60", timeout_s=0.1)

    def test_ended_by_a_signal(self) -> None:
        with pytest.raises(tools.ToolError, match="sh -c: ended by signal 15"):
            tools.run("sh", "-c", "kill $$")

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("Creating\nERROR: failed\nStack:\n at x", "ERROR: failed"),
            ("error: no context\n", "error: no context"),
            ("one\ntwo\n\n", "two"),
            ("", "failed"),
        ],
    )
    def test_the_line_that_says_what_is_wrong(self, text: str, line: str) -> None:
        assert tools.said(text) == line


def test_a_kubeconfig_file_lies_in_the_clone() -> None:
    file = tools.kubeconfig_file("triptych-unit")
    assert file.parent == Path(tools.PROJECT_ROOT) / ".triptych" / "kubeconfig"
