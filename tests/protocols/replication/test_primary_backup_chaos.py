"""Primary-backup under chaos, in every mode: safety while the storm rages, progress after it."""

from __future__ import annotations

from typing import Any

import pytest

from sim.lab.chaos import chaos, chaos_scenario
from sim.protocols.replication.primary_backup.system import PrimaryBackup

MODES: dict[str, tuple[dict[str, Any], ...]] = {
    "sync": ({"nodes": 3}, {"nodes": 2}, {"nodes": 4}, {"nodes": 3, "keep": 5}),
    "semi-sync": ({"nodes": 3}, {"nodes": 5, "acks": 2, "keep": 8}, {"nodes": 4, "acks": 2}),
    "fallback": ({"nodes": 3, "fallback": 0.05}, {"nodes": 5, "acks": 2, "fallback": 0.02, "keep": 4}),
    "async": ({"nodes": 3}, {"nodes": 3, "keep": 3}, {"nodes": 2}),
    "lease": ({"nodes": 3}, {"nodes": 2, "keep": 5}),
    "session": ({"nodes": 3}, {"nodes": 4, "keep": 3}),
    "stale": ({"nodes": 3}, {"nodes": 4, "keep": 3}),
    "bounded": ({"nodes": 3, "staleness": 0.3}, {"nodes": 4, "staleness": 0.1, "keep": 3}),
}
COMMON: dict[str, dict[str, Any]] = {
    "sync": {},
    "semi-sync": {"mode": "semi-sync"},
    "fallback": {"mode": "semi-sync"},
    "async": {"mode": "async"},
    "lease": {"reads": "lease"},
    "session": {"reads": "session"},
    "stale": {"mode": "semi-sync", "reads": "backup"},
    "bounded": {"reads": "backup"},
}
EVERY_MODE = pytest.mark.parametrize("mode", MODES)


def survive(mode: str, seed: int, storm: float) -> None:
    settings = MODES[mode][seed % len(MODES[mode])]
    system = PrimaryBackup(**COMMON[mode], **settings)
    run = chaos(system, seed, scenario=chaos_scenario(system, seed, storm=storm))
    assert run.violation is None, f"seed {seed}, {system}: {run.violation}"
    if system.mode != "async" and system.fallback is None:  # else losses are counted, and are no fault
        assert run.acknowledged_lost == 0, f"seed {seed}, {system}"
    check = run.check()
    assert check.ok, f"seed {seed}, {system}: {check}"


@EVERY_MODE
@pytest.mark.parametrize("first", range(0, 50, 10))
def test_every_mode_is_safe_in_fifty_storms_and_goes_on_after_them(mode: str, first: int) -> None:
    for seed in range(first, first + 10):
        survive(mode, seed, 2.0)


@pytest.mark.nightly
@EVERY_MODE
@pytest.mark.parametrize("first", range(0, 1000, 50))
def test_every_mode_is_safe_in_a_thousand_storms(mode: str, first: int) -> None:
    for seed in range(first, first + 50):
        survive(mode, seed, 3.0 if mode == "session" else 8.0)  # sequential consistency is hard to judge
