"""Wall clock of creating and of destroying a stack, as a pipeline would pay it."""

from __future__ import annotations

from probe import project
from probe.experiments.base import Context, Experiment
from probe.records import Sample


class Provisioning(Experiment):
    """The time that ``pulumi up`` and ``pulumi destroy`` take."""

    name = "provisioning"
    summary = "wall clock of create and destroy"
    works_on_running = False
    states = ("cold", "warm")

    def measure(self, context: Context) -> list[Sample]:
        """Return how long ``up`` took."""
        if context.started_at is None or context.up_done_at is None or context.up_error:
            return [
                context.sample(
                    self.name, "create_s", None, "s", evidence=context.up_error or "never ended"
                )
            ]
        note = f"beforehand: {context.preparation}" if context.preparation else ""
        samples = [
            context.sample(
                self.name, "create_s", context.up_done_at - context.started_at, "s", evidence=note
            )
        ]
        fetched = context.fetched_bytes()
        if fetched is not None:
            samples.append(
                context.sample(
                    self.name,
                    "fetched_bytes",
                    fetched,
                    "bytes",
                    evidence=f"of {shipped_whole(context)} bytes that the images unpack to; layers"
                    " that other images or a build cache still hold are not pulled again",
                )
            )
        return samples

    def conclude(self, context: Context) -> list[Sample]:
        """Return how long ``destroy`` took."""
        if context.destroy_s is None or context.destroy_error:
            return [
                context.sample(
                    self.name,
                    "destroy_s",
                    None,
                    "s",
                    evidence=context.destroy_error or "the stack was not destroyed",
                )
            ]
        return [context.sample(self.name, "destroy_s", context.destroy_s, "s")]


def shipped_whole(context: Context) -> int:
    """Return what the images unpack to, with the base that they share once (bytes)."""
    images = project.images_of(context.artefacts, context.shape).values()
    base = int(context.artefacts.get("base", {}).get("unpacked_bytes", 0))
    return base + sum(int(i.get("own_bytes", 0)) for i in images)
