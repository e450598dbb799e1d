"""How much there is to write and to type per model: the seed's "ease of configuration".

Counted, not judged: lines of the files that only this model needs, resources that it declares (from
the stack's state), commands that a user types from a machine with the tools to a shop that answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from probe.experiments.base import Context, Experiment
from probe.records import Sample
from shop import catalogue

#: What a model needs beside what all share, relative to the project. What stands in for images
#: that upstream offers (`k8s/node`, `k8s/images`, `k8s/ingress`) is no configuration.
FILES = {
    "docker": ("stacks/docker.py", "components/docker", "shop/images"),
    "kubernetes": (
        "stacks/kubernetes.py",
        "components/kubernetes",
        "k8s/kind.yaml",
        "k8s/addons",
        "shop/images",
    ),
    "vm": ("stacks/vm.py", "components/vm", "shop/guest"),
}
_COMMENT = ("#", "//", ";")
_IGNORED = {"__pycache__"}
_SUFFIXES = (".pyc", ".md")


def commands(model: str, shape: str) -> tuple[str, ...]:
    """Return what a user types. ``make build`` builds what all models and shapes ship."""
    usual = shape == catalogue.MODELS.get(model)
    chosen = () if usual else (f"pulumi config set shape {shape} -s {model}",)
    return ("make build", *chosen, f"pulumi up -s {model}")


def files_of(root: Path, model: str, shape: str) -> Iterator[Path]:
    """Yield the files that only this model needs to run this shape."""
    names = list(FILES.get(model, ()))
    if model in ("docker", "kubernetes"):
        # The guest takes the files out of the images; that they are images is for these.
        names += [f"app/{service.name}/Dockerfile" for service in catalogue.services(shape)]
    for name in names:
        path = root / name
        if path.is_file():
            yield path
        elif path.is_dir():
            for file in sorted(path.rglob("*")):
                inside = file.relative_to(path).parts
                if file.is_file() and not _IGNORED & set(inside) and file.suffix not in _SUFFIXES:
                    yield file


def lines_of(path: Path) -> int:
    """Count the lines that say something: neither empty, nor a comment, nor a docstring's."""
    count = 0
    inside = False
    for raw in path.read_text(encoding="utf-8", errors="replace").splitlines():
        line = raw.strip()
        if path.suffix == ".py" and (inside or line.startswith('"""')):
            quotes = line.count('"""')
            if quotes % 2:
                inside = not inside
            continue
        if line and not line.startswith(_COMMENT):
            count += 1
    return count


class Ease(Experiment):
    """Lines, resources and commands per model."""

    name = "ease"
    summary = "lines of configuration, declared resources and commands to type"
    states = ("warm", "up")

    def measure(self, context: Context) -> list[Sample]:
        """Return the three counts."""
        counted = {
            path.relative_to(context.root).as_posix(): lines_of(path)
            for path in files_of(context.root, context.model, context.shape)
        }
        samples = [
            context.sample(
                self.name,
                "configuration_lines",
                sum(counted.values()),
                "count",
                evidence=", ".join(f"{name} {lines}" for name, lines in counted.items()),
            )
            if counted
            else context.sample(
                self.name,
                "configuration_lines",
                None,
                "count",
                outcome="not_measured",
                evidence="no file of this model was found",
            )
        ]
        if context.resources:
            kinds = ", ".join(f"{kind} {n}" for kind, n in sorted(context.resources.items()))
            samples.append(
                context.sample(
                    self.name,
                    "declared_resources",
                    sum(context.resources.values()),
                    "count",
                    evidence=kinds,
                )
            )
        typed = commands(context.model, context.shape)
        samples.append(
            context.sample(self.name, "commands", len(typed), "count", evidence="; ".join(typed))
        )
        return samples
