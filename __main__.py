"""Pulumi's entry: read the settings, build the model's stack, export its outputs."""

import pulumi

import stacks
from settings import Settings

for key, value in stacks.build(Settings.from_config()).export().items():
    pulumi.export(key, value)
