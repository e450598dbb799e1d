"""All models side by side in one stack, each with names, addresses and ports of its own."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from settings import DEV, Settings
from shop import catalogue
from stacks.outputs import StackOutputs

#: Which port each model's gateway has, counted from ``gateway_port``; the virtual machine's is at
#: an address of its own.
_PORTS: Final = {"docker": 0, "kubernetes": 1}


@dataclass(frozen=True)
class DevOutputs:
    """The outputs of each model's stack, under the model's name."""

    models: Mapping[str, StackOutputs]

    def export(self) -> dict[str, Any]:
        """Return the outputs under the names that users see."""
        return {"model": DEV, **{model: o.export() for model, o in self.models.items()}}


def build(settings: Settings) -> DevOutputs:
    """Declare the stacks of all models and return their outputs."""
    return DevOutputs(
        {
            model: importlib.import_module(f"stacks.{model}").build(of_model(settings, model))
            for model in catalogue.MODELS
        }
    )


def of_model(settings: Settings, model: str) -> Settings:
    """Return the settings of one of the models.

    In daemons it is called ``triptych-<stack>-<model>...``, in Pulumi ``<model>-...``.
    """
    return replace(
        settings,
        stack=f"{settings.stack}-{model}",
        model=model,
        shape=settings.shape or catalogue.MODELS[model],
        gateway_port=settings.gateway_port + _PORTS.get(model, 0),
        names=f"{model}-",
    )
