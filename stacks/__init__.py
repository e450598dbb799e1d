"""The stacks: one module per deployment model, each giving the same outputs.

A model's module has one function, ``build(settings) -> StackOutputs``, that composes the
components of ``components.<model>``. ``dev`` builds all of them into one Pulumi stack.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from settings import Settings
    from stacks.dev import DevOutputs
    from stacks.outputs import StackOutputs


def build(settings: Settings) -> StackOutputs | DevOutputs:
    """Declare everything that the stack consists of and return its outputs."""
    # Imported by name: a preview of one model must not pay for the other model's SDK.
    module = importlib.import_module(f"stacks.{settings.model}")
    outputs: StackOutputs | DevOutputs = module.build(settings)
    return outputs
