"""The judge names what broke: one test for each kind, and silence where nothing did."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from sim.lab.fuzz.judging import ACKNOWLEDGED, judge
from sim.lab.fuzz.playing import play
from sim.lab.storm import draw_storm
from sim.node import Node
from sim.protocols import BasicRaft, PrimaryBackup
from sim.protocols.client import Request
from sim.system import Limit, System
from tests.lab.fuzz.mutants import Eager, TwoVotesRaft


def broken(system: System, seed: int, **storm: Any) -> Any:
    return play(draw_storm(system, seed, **storm), seed).broken


def test_nothing_broke() -> None:
    assert broken(BasicRaft(nodes=3), 0, length=1.0) is None


def test_an_invariant() -> None:
    found = next(found for seed in range(40) if (found := broken(TwoVotesRaft(), seed)) is not None)
    assert (found.invariant, found.kind) == ("one vote per server and term", "safety")
    assert found.time is not None
    assert len(found.facts) == 2


def test_the_claimed_consistency() -> None:
    scenario = replace(draw_storm(Eager(), 0, length=1.0), check=False)
    found = play(scenario, 0).broken
    assert found is not None
    assert (found.invariant, found.kind) == ("linearizable", "consistency")


class Deaf(Node):
    """Answers no request."""

    def on_request(self, src: str, msg: Request) -> None:
        pass


def test_missing_progress() -> None:
    found = broken(System.of(Deaf, "linearizable"), 0, length=0.5)
    assert (found.invariant, found.kind) == ("progress after healing", "liveness")


class Clumsy(Node):
    """Trips over the third request."""

    def on_start(self) -> None:
        self.count = 0

    def on_request(self, src: str, msg: Request) -> None:
        self.count += 1
        self.stumble()

    def stumble(self) -> None:
        assert self.count < 3, "three are too many"


def test_an_error_in_a_handler() -> None:
    found = broken(System.of(Clumsy), 0, length=0.5)
    assert (found.invariant, found.kind) == ("no error in a handler: AssertionError in stumble", "safety")
    assert "three are too many" in found.facts[0]
    assert found.facts[1].startswith("test_judging.py, line ")


def test_acknowledged_writes_that_are_lost_if_the_system_claims_to_keep_them() -> None:
    played = play(draw_storm(BasicRaft(nodes=3), 0, length=0.5), 0)
    assert played.check is not None
    played.run.acknowledged_lost = 2
    found = judge(played.run, played.check)
    assert found is not None
    assert (found.invariant, found.kind) == (ACKNOWLEDGED, "acknowledged writes")
    other = play(draw_storm(PrimaryBackup(mode="async"), 0, length=0.5), 0)
    assert other.check is not None
    other.run.acknowledged_lost = 2
    assert judge(other.run, other.check) is None


@dataclass(frozen=True, kw_only=True)
class Limited(BasicRaft):
    most: float = 1.0

    def limits(self) -> Iterable[Limit]:
        return (Limit("elections", lambda run: (run.events["event"] == "elected").sum(), most=self.most),)


def test_a_limit_that_the_system_declares() -> None:
    found = broken(Limited(nodes=3, most=0.5), 0, length=0.5)
    assert (found.invariant, found.kind) == ("elections", "limit")
    assert "at most 0.5" in found.facts[0]
    assert broken(Limited(nodes=3, most=50.0), 0, length=0.5) is None
    with pytest.raises(ValueError, match="must leave a range"):
        Limit("nothing", lambda run: 0.0)
