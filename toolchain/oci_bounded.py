"""Takes capabilities out of an OCI config.json or process.json; called by `oci-bounded`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def trim(document: dict[str, Any], missing: frozenset[str]) -> dict[str, Any]:
    """Return the document without the missing capabilities.

    `document` is a config.json (which has a `process`) or a process.json; it is changed in place.
    """
    process = document.get("process", document)
    sets = process.get("capabilities") or {}
    for name, held in sets.items():
        sets[name] = [capability for capability in held or [] if capability not in missing]
    return document


def main(missing_file: str, config_file: str) -> None:
    """Rewrite one configuration file."""
    missing = frozenset(Path(missing_file).read_text().split())
    config = Path(config_file)
    config.write_text(json.dumps(trim(json.loads(config.read_text()), missing)))


if __name__ == "__main__":
    main(*sys.argv[1:])
