"""Storms: crashes, partitions, pauses, lost and reordered messages, slow disks; then everything heals.

`survive` asks for all invariants after every event, and afterwards for answers to new operations, for replicas that
have caught up, and for a history that is what the system claims.
"""

from __future__ import annotations

import pytest
from sim.testing import survive

from firstlog.system import FirstLog

SEEDS = range(4)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("nodes", [3, 5])
def test_it_survives_a_storm(nodes: int, seed: int) -> None:
    run = survive(FirstLog(nodes=nodes), seed, length=1.5)
    assert (run.operations["status"] == "ok").sum() > 10
