"""Primary-backup in storms, in every mode: safety while they rage, progress after it."""

from __future__ import annotations

from typing import Any

import pytest

from sim.protocols.replication.primary_backup.system import PrimaryBackup
from sim.testing import survive
from tests.budget import storms

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


@storms(3, 2.0, seeds=range(1000))
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_is_safe_in_storms_and_goes_on_after_them(mode: str, seeds: range, length: float) -> None:
    load = {}
    if (
        mode == "session"
    ):  # sequential consistency is searched for: histories of four clients spend the budget
        length, load = min(length, 3.0), {"clients": 2}
    for seed in seeds:
        system = PrimaryBackup(**COMMON[mode], **MODES[mode][seed % len(MODES[mode])])
        counted = system.mode == "async" or system.fallback is not None  # losses, which are no fault there
        survive(system, seed, length, may_lose=counted, **load)
