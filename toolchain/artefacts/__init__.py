"""What is deployed, built once and shipped to each model: images, guest disks, and what they weigh.

Standard library only, like the rest of the toolchain. `steps(paths)` is what the goal `build` adds
to the graph; `source_keys(root)` tells whether a clone's sources are those of its artefacts.
"""

from toolchain.artefacts.build import BASE, steps
from toolchain.artefacts.keys import source_keys

__all__ = ["BASE", "source_keys", "steps"]
