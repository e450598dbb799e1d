"""What is written and read again."""

from __future__ import annotations

import pytest

from probe.records import Side


def test_a_side_is_written_and_read() -> None:
    assert Side.parse(str(Side("docker", "microservices"))) == Side("docker", "microservices")
    for text in ("docker", "docker/", "/monolith"):
        with pytest.raises(ValueError, match="not a side"):
            Side.parse(text)
