"""Primary-backup under chaos: 200 storms, safety while they rage, progress after them."""

from __future__ import annotations

from typing import Any

import pytest

from sim.lab.chaos import chaos, chaos_scenario
from sim.protocols.replication.primary_backup import PrimaryBackup

STORM = 3.0
BATCH = 10


def storm(system: PrimaryBackup, seed: int) -> Any:
    return chaos(system, seed, scenario=chaos_scenario(system, seed, storm=STORM))


@pytest.mark.parametrize("first", range(0, 200, BATCH))
def test_sync_is_safe_in_every_storm_and_goes_on_after_it(first: int) -> None:
    for seed in range(first, first + BATCH):
        run = storm(PrimaryBackup(nodes=3 if seed % 4 else 2), seed)
        assert run.violation is None, run.violation
        assert run.acknowledged_lost == 0, f"seed {seed}"


@pytest.mark.parametrize("first", range(0, 40, BATCH))
def test_async_keeps_its_laws_in_every_storm_and_goes_on_after_it(first: int) -> None:
    for seed in range(first, first + BATCH):
        run = storm(PrimaryBackup(nodes=3, mode="async"), seed)
        assert run.violation is None, run.violation
