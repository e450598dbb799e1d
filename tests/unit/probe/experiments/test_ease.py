"""Lines and commands, counted."""

from __future__ import annotations

from pathlib import Path

from probe import models
from probe.experiments.ease import commands, files_of, lines_of
from shop.catalogue import SHAPES


def test_lines_that_say_something(tmp_path: Path) -> None:
    python = tmp_path / "a.py"
    python.write_text(
        '"""One\n\ntwo."""\n\nimport x  # why\n\n# no\ndef f():\n    """Doc."""\n    y\n'
    )
    assert lines_of(python) == 3
    docker = tmp_path / "Dockerfile"
    docker.write_text("# no\nFROM x\n\nRUN y \\\n    z\n")
    assert lines_of(docker) == 3


def test_configuration_is_found_for_each_model() -> None:
    root = Path(models.__file__).parents[2]
    for model in models.MODELS:
        for shape in SHAPES:
            found = list(files_of(root, model, shape))
            assert any(p.name == f"{model}.py" for p in found), model
            assert not any("__pycache__" in p.parts for p in found)
            dockerfiles = {p.parent.name for p in found if p.parent.parent.name == "app"}
            assert ("monolith" in dockerfiles) == (model != "vm" and shape == "monolith")


def test_a_shape_that_is_not_the_models_own_takes_a_command_more() -> None:
    assert commands("docker", "microservices") == ("make build", "pulumi up -s docker")
    assert commands("vm", "microservices") == (
        "make build",
        "pulumi config set shape microservices -s vm",
        "pulumi up -s vm",
    )
