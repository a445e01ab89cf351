"""Many storms, on all cores, kept as they come; what broke is told with its seed."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sim import Invariant, Scenario, System
from sim.lab import draw_storm, run_storm, run_storms
from sim.protocols import PrimaryBackup, Raft


def short(system: System, seed: int) -> Scenario:
    return draw_storm(system, seed, length=1.0)


def test_the_storm_of_each_seed_is_run_and_the_rest_can_follow_later(tmp_path: Path) -> None:
    systems = [Raft(nodes=3), PrimaryBackup(nodes=3)]
    first = run_storms(systems, seeds=1, storm=short, out=tmp_path, workers=1, progress=None)
    assert first.ok
    done = run_storms(systems, seeds=2, storm=short, out=tmp_path, resume=True, workers=1, progress=None)
    assert done.table()["storms"].tolist() == [2, 2]
    assert done.table()["valid"].sum() + done.table()["unknown"].sum() == 4
    alone = [run_storm(short(system, seed), seed).digest() for system in systems for seed in range(2)]
    assert [run.digest() for run in done.runs] == alone
    connection = sqlite3.connect(tmp_path / "results.sqlite")
    assert connection.execute("SELECT count(*) FROM runs").fetchone() == (4,)
    assert connection.execute("SELECT DISTINCT how FROM scenarios").fetchall() == [
        ('{"judge": true, "storm": true}',)
    ]
    connection.close()
    assert done.runs[0].operations.equals(run_storm(short(systems[0], 0), 0).operations)


@dataclass
class NoLeader(Invariant):
    """An invariant that each election breaks."""

    title = "nobody leads"

    def on_event(self, node: str, event: str, detail: Mapping[str, Any]) -> None:
        if event == "elected":
            self.violated(node, "it leads")


@dataclass(frozen=True, kw_only=True)
class Leaderless(Raft):
    """Raft with that invariant."""

    def invariants(self) -> tuple[Invariant, ...]:
        return (NoLeader(),)


def test_a_violation_is_reported_with_its_seed() -> None:
    done = run_storms([Leaderless(nodes=3), Raft(nodes=3)], seeds=2, storm=short, workers=1, progress=None)
    assert not done.ok
    assert done.table()["invalid"].tolist() == [2, 0]
    assert [run.seed for run, _ in done.broken] == [0, 1]
    assert "Leaderless, seed 0: nobody leads" in done.text()


def test_no_system_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to run: give at least one system"):
        run_storms([])
    with pytest.raises(ValueError, match="the same system is given twice"):
        run_storms([Raft(nodes=3), Raft(nodes=3)])
