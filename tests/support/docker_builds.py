"""What the tests of images build."""

from __future__ import annotations

from pathlib import Path
from typing import Any

IMAGE = "docker:index/image:Image"
PREFIX = "plugtest-"


def build_inputs(context: Path, base_image: str, **build: Any) -> dict[str, Any]:
    context.mkdir(exist_ok=True)
    (context / "Dockerfile").write_text(
        f"FROM {base_image} AS first\nARG V=1\nCOPY . /data\nRUN echo $V > /v\n"
        "FROM first AS second\nRUN echo second > /s\n"
    )
    return {
        "imageName": f"{PREFIX}built:1",
        "build": {"context": str(context), **build},
        "skipPush": True,
    }
