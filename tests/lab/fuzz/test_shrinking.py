"""Shrinking: a failing storm becomes a schedule of a few faults and operations in which the same invariant breaks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sim.faults import Crash
from sim.lab.fuzz.playing import play
from sim.lab.fuzz.recording import RecordedSimulation
from sim.lab.fuzz.shrinking import shrink_schedule
from sim.lab.storm import draw_storm
from sim.network import Quiet
from sim.protocols import BasicRaft
from sim.system import System
from tests.lab.fuzz.mutants import Eager, TwoVotesRaft


@pytest.mark.parametrize(
    ("system", "seed"),
    [
        (TwoVotesRaft(), 0),
        (Eager(), 1),
        pytest.param(TwoVotesRaft(), 5, marks=pytest.mark.nightly),
    ],
    ids=lambda x: type(x).__name__ if isinstance(x, System) else str(x),
)
def test_a_failing_storm_shrinks_to_a_few_faults_and_operations(system: System, seed: int) -> None:
    scenario = draw_storm(system, seed)
    before = play(scenario, seed)
    assert before.broken is not None
    found = shrink_schedule(scenario, seed, runs=150)
    assert found is not None
    after = play(found.scenario, found.seed)
    assert after.broken is not None
    assert after.broken.invariant == before.broken.invariant
    assert len(found.strikes) <= 4
    assert len(found.calls) <= 6
    assert isinstance(found.scenario.network, Quiet)
    assert found.made <= 150


def test_the_budget_is_kept_and_the_best_so_far_is_the_result() -> None:
    system, seed = TwoVotesRaft(), 0
    found = shrink_schedule(draw_storm(system, seed), seed, runs=3)
    assert found is not None
    assert found.made == 3
    assert play(found.scenario, found.seed).broken is not None


def test_there_is_nothing_to_shrink_where_nothing_breaks() -> None:
    assert shrink_schedule(draw_storm(BasicRaft(nodes=3), 0, length=0.5), 0) is None


def test_a_recorded_form_that_shows_nothing_is_not_taken_for_the_storm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A recording that misses something is a fault of the library; what is returned must break all the same."""
    recorded = RecordedSimulation.recorded
    monkeypatch.setattr(
        RecordedSimulation, "recorded", lambda self: replace(recorded(self), system=BasicRaft())
    )
    scenario = replace(draw_storm(TwoVotesRaft(), 3), faults=(Crash("n0", at=1.0, down=0.5),))
    seed = next(seed for seed in range(20) if play(scenario, seed).broken is not None)
    found = shrink_schedule(scenario, seed, runs=20)
    assert found is not None
    assert found.scenario == scenario
    assert found.size[0] == 1
    assert play(found.scenario, found.seed).broken is not None
