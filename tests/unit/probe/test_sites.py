"""Where stacks are put."""

from __future__ import annotations

import ipaddress
import random

import pytest

from probe import sites
from probe.errors import ProbeError


def test_a_free_subnet_overlaps_none_that_is_taken() -> None:
    taken = [ipaddress.IPv4Network("10.91.0.0/17"), ipaddress.IPv4Network("10.91.128.0/18")]
    for seed in range(20):
        found = ipaddress.IPv4Network(sites.free_subnet(random.Random(seed), taken))
        assert not any(found.overlaps(other) for other in taken)
    with pytest.raises(ProbeError, match="no free /24"):
        sites.free_subnet(random.Random(0), [ipaddress.IPv4Network("10.0.0.0/8")])
