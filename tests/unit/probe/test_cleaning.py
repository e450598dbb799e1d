"""What is removed after a comparison."""

from __future__ import annotations

import pytest

from probe import cleaning


def test_only_a_comparisons_own_things_are_ever_removed() -> None:
    with pytest.raises(ValueError, match="not a comparison's"):
        cleaning.remove_leftovers("triptych-docker", {})
