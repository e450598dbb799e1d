"""The language host and the dynamic provider, under the real CLI."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pulumi import automation

from tests.plugins.pulumi_cli import Project, cli

Make = Callable[..., Project]
ROOT = Path(__file__).parents[2]

DYNAMIC = """
import helper
import pulumi
from pulumi import dynamic


class Provider(dynamic.ResourceProvider):
    def create(self, props):
        return dynamic.CreateResult("id-1", {**props, "made": helper.word()})


class Thing(dynamic.Resource):
    made: pulumi.Output[str]

    def __init__(self, name):
        super().__init__(Provider(), name, {"made": None})


config = pulumi.Config()
print("the program says hello")
pulumi.export("made", Thing("t").made)
pulumi.export("plain", config.require("plain"))
pulumi.export("hidden", config.require_secret("hidden"))
"""


def test_a_program_with_a_dynamic_resource(project: Make) -> None:
    made = project(DYNAMIC)
    (made.directory / "helper.py").write_text("def word():\n    return 'from a module'\n")
    made.run("stack", "init", "a")
    made.run("config", "set", "plain", "x")
    made.run("config", "set", "--secret", "hidden", "y")
    output = made.up()
    assert "the program says hello" in output
    assert "from a module" in made.run("stack", "output", "made")
    assert made.run("stack", "output", "plain").strip() == "x"
    assert made.run("stack", "output", "hidden").strip() == "[secret]"
    made.run("preview", "--expect-no-changes")
    made.destroy()


def test_an_exception_shows_the_programs_own_lines_once(project: Make) -> None:
    made = project("def work():\n    raise ValueError('broken')\n\nwork()\n")
    made.run("stack", "init", "a")
    output = made.up(code=1)
    assert "ValueError: broken" in output
    assert "__main__.py" in output
    assert "runpy" not in output
    assert "exited with code" not in output


def test_a_run_error_is_one_line(project: Make) -> None:
    made = project("import pulumi\nraise pulumi.RunError('set this and that')\n")
    made.run("stack", "init", "a")
    output = made.up(code=1)
    assert "error: set this and that" in output
    assert "Traceback" not in output


def test_an_exit_is_reported(project: Make) -> None:
    made = project("import os\nos._exit(7)\n")
    made.run("stack", "init", "a")
    assert "the program exited with code 7" in made.up(code=1)


def test_a_missing_virtual_environment_is_one_line(project: Make) -> None:
    made = project("")
    made.settings({"toolchain": "pip", "virtualenv": "absent"})
    made.run("stack", "init", "a")
    output = made.up(code=1)
    assert re.search(r"error: the virtual environment .*absent .* run `pulumi install`", output)
    assert "Traceback" not in output


def test_another_toolchain_is_refused_by_name(project: Make) -> None:
    made = project("")
    made.settings({"toolchain": "poetry"})
    made.run("stack", "init", "a")
    assert "'poetry'" in made.up(code=1)


def test_install_makes_the_environment(project: Make) -> None:
    made = project("")
    made.settings({"toolchain": "pip", "virtualenv": "venv"})
    (made.directory / "requirements.txt").write_text("")
    output = made.run("install")
    assert "Creating virtual environment" in output
    assert (made.directory / "venv" / "bin" / "python").exists()


def test_about_names_the_python(project: Make) -> None:
    made = project("")
    made.run("stack", "init", "a")
    output = made.run("about")
    assert "python" in output
    assert str(ROOT / ".venv") in output


def test_an_interrupt_ends_program_and_host_without_a_traceback(
    project: Make, tmp_path: Path
) -> None:
    started = tmp_path / "started"
    made = project(
        "import os, pathlib, time\n"
        f"pathlib.Path({str(started)!r}).write_text(str(os.getpid()))\n"
        "time.sleep(120)\n"
    )
    made.run("stack", "init", "a")
    process = made.start("up", "--yes", "--skip-preview")
    deadline = time.monotonic() + 300
    while not started.exists() or not started.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=300)
    assert process.returncode != 0
    assert "Traceback" not in output
    assert "KeyboardInterrupt" not in output
    program = Path("/proc") / started.read_text()
    while program.exists():
        assert time.monotonic() < deadline + 10, "the program outlived the host"
        time.sleep(0.1)


@pytest.mark.parametrize("times", [2])
def test_a_local_program_of_the_automation_api(project: Make, times: int) -> None:
    made = project("import pulumi\npulumi.export('word', pulumi.Config().require('word'))\n")
    command = automation.PulumiCommand(str(cli(ROOT).parent.parent))
    for number in range(times):
        stack = automation.create_stack(
            stack_name=f"auto{number}",
            work_dir=str(made.directory),
            opts=automation.LocalWorkspaceOptions(
                env_vars=made.environment, pulumi_command=command
            ),
        )
        stack.set_config("word", automation.ConfigValue(f"w{number}"))
        try:
            assert stack.up().outputs["word"].value == f"w{number}"
        finally:
            stack.destroy()
            stack.workspace.remove_stack(f"auto{number}")
