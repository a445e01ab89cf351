"""Storms on the Raft of figure 2: no invariant breaks, no acknowledged write is lost, clients finish soon after."""

from __future__ import annotations

from typing import Any

import pytest

from sim.protocols import BasicRaft


def group(seed: int) -> BasicRaft:
    return BasicRaft(nodes=3 + 2 * (seed % 2))


@pytest.mark.parametrize("first", range(0, 50, 10))
def test_fifty_storms(storm: Any, first: int) -> None:
    for seed in range(first, first + 10):
        storm(group(seed), seed, 3.0)


@pytest.mark.nightly
@pytest.mark.parametrize("first", range(50, 1050, 20))
def test_a_thousand_longer_storms(storm: Any, first: int) -> None:
    for seed in range(first, first + 20):
        storm(group(seed), seed, 8.0)
