"""Primary-backup under chaos: 200 storms, safety while they rage, progress after them."""

from __future__ import annotations

from typing import Any

import pytest

from sim.lab.chaos import chaos, chaos_scenario
from sim.protocols.replication.primary_backup import PrimaryBackup

STORM = 3.0
BATCH = 10


def storms(first: int, **settings: Any) -> None:
    for seed in range(first, first + BATCH):
        nodes = settings.get("nodes", 3 if seed % 4 else 2)
        system = PrimaryBackup(**{**settings, "nodes": nodes})
        run = chaos(system, seed, scenario=chaos_scenario(system, seed, storm=STORM))
        assert run.violation is None, run.violation
        if system.claims is not None:
            assert run.acknowledged_lost == 0, f"seed {seed}"
        if system.claims is not None:  # linearizable, or sequential for sessions that read at backups
            verdict = run.check()
            assert verdict.ok, f"seed {seed}: {verdict}"


@pytest.mark.parametrize("first", range(0, 200, BATCH))
def test_sync_is_safe_in_every_storm_and_goes_on_after_it(first: int) -> None:
    storms(first)


VARIANTS: list[dict[str, Any]] = [
    {"mode": "semi-sync", "nodes": 3},
    {"mode": "semi-sync", "nodes": 5, "acks": 2, "keep": 8},
    {"mode": "semi-sync", "nodes": 3, "fallback": 0.05},
    {"mode": "async", "nodes": 3},
    {"mode": "async", "nodes": 3, "keep": 3},
    {"mode": "sync", "keep": 5},
    {"mode": "sync", "nodes": 3, "reads": "lease"},
    {"mode": "sync", "nodes": 3, "reads": "session"},
    {"mode": "semi-sync", "nodes": 3, "reads": "backup", "staleness": 0.3},
]


@pytest.mark.parametrize("settings", VARIANTS, ids=lambda s: "-".join(map(str, s.values())))
def test_the_other_modes_are_safe_in_a_few_storms(settings: dict[str, Any]) -> None:
    storms(300, **settings)


@pytest.mark.nightly
@pytest.mark.parametrize("settings", VARIANTS, ids=lambda s: "-".join(map(str, s.values())))
@pytest.mark.parametrize("first", range(400, 600, BATCH))
def test_the_other_modes_are_safe_in_every_storm(settings: dict[str, Any], first: int) -> None:
    storms(first, **settings)
