"""The law is equality: what a run gives does not depend on the engine that ran it (`sim.engine`).

Two processes, one with each engine, do the same and tell what they see; the lines are compared one by one.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.engine.engines import both_tell, needs_both
from tests.engine.scenarios import MODES, systems

pytestmark = needs_both

Pairs = dict[str, tuple[dict[str, Any], dict[str, Any]]]

GOLDEN = "tests/protocols/paxos/test_paxos.py"
SCENARIOS, STORMS, BATCH = 300, 300, 50


@pytest.fixture(scope="module")
def daily() -> Pairs:
    """A sample, from one process for each engine: to start one costs more than what it does here."""
    return both_tell(
        ["scenarios", 0, len(systems()), 0.05, "bare"],
        ["scenarios", 100, 103, 0.1, "checked traced sampled"],
        ["storms", 0, 2, 0.1],
        ["by_hand"],
        ["mistakes"],
        ["golden", GOLDEN],
    )


def differing(pairs: Pairs, part: str) -> list[str]:
    """What differs between the engines in a part, which must have lines."""
    chosen = {name: pair for name, pair in pairs.items() if name.startswith(f"{part}: ")}
    assert chosen
    return [
        f"{name}: {key} is {ours.get(key)!r} with Python, {compiled.get(key)!r} compiled"
        for name, (ours, compiled) in chosen.items()
        for key in {**ours, **compiled}
        if ours.get(key) != compiled.get(key)
    ]


@pytest.mark.parametrize("part", ["scenarios", "storms", "by_hand", "mistakes", "golden"])
def test_both_engines_tell_the_same(daily: Pairs, part: str) -> None:
    """Runs, simulations driven by hand, odd times, what is raised where and what it says, golden traces."""
    assert differing(daily, part) == []


def test_each_system_ran_bare_and_something_happened(daily: Pairs) -> None:
    ran = {
        name.removesuffix(", bare").split(maxsplit=2)[2]: told
        for name, (told, _) in daily.items()
        if name.endswith(", bare") and name.startswith("scenarios: ")
    }
    assert list(ran) == [name for name, _ in systems()]
    assert [name for name, told in ran.items() if "raised" in told or told["events"] < 20] == []


def test_the_golden_traces_were_compared(daily: Pairs) -> None:
    assert [(len(told["passed"]), told["code"]) for told in daily["golden: golden"]] == [(1, 0), (1, 0)]


@pytest.mark.nightly
@pytest.mark.parametrize("first", range(0, SCENARIOS, BATCH))
@pytest.mark.parametrize("mode", MODES)
def test_three_hundred_scenarios_in_each_mode(mode: str, first: int) -> None:
    assert differing(both_tell(["scenarios", first, first + BATCH, 0.4, mode]), "scenarios") == []


@pytest.mark.nightly
@pytest.mark.parametrize("first", range(0, STORMS, BATCH))
def test_three_hundred_traced_storms(first: int) -> None:
    assert differing(both_tell(["storms", first, first + BATCH, 0.6]), "storms") == []


@pytest.mark.nightly
def test_all_golden_traces() -> None:
    told = both_tell(["golden"])
    assert differing(told, "golden") == []
    ours, _ = told["golden: golden"]
    assert ours["code"] == 0
    assert len(ours["passed"]) >= 13
