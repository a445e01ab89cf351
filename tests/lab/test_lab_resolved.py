"""The resolved values of a scenario are derived once, and runs, comparisons and reports all use them."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace
from typing import Any

import pytest

from sim import Machine, Member, Retry, Scenario, System
from sim.lab.fairness import fair
from sim.network import matrix
from sim.node import Node
from sim.protocols import MultiPaxos, Raft
from sim.protocols.admin import Transfer

TWO = matrix(["x", "y"], [[0.001, 0.1], [0.1, 0.001]])
ASKED = {"members": 0, "with_timing": 0}


@dataclass(frozen=True, kw_only=True)
class Counted(Raft):
    """Counts how often it is asked for its members and for its times."""

    def members(self) -> tuple[Member, ...]:
        ASKED["members"] += 1
        return super().members()

    def with_timing(self, timing: Any) -> Any:
        ASKED["with_timing"] += 1
        return super().with_timing(timing)


def test_a_scenario_is_resolved_once_for_all_callers() -> None:
    ASKED["with_timing"] = 0
    made = Scenario(system=Counted(nodes=3), network=TWO, duration=1.0)
    simulation = made.start(seed=1)
    made.run(seed=2).check()
    assert made.derived["heartbeat"] == pytest.approx(0.2)
    assert ASKED["with_timing"] == 1
    assert simulation.resolved is made.resolved
    ASKED["members"] = 0
    made.start(seed=3)
    assert ASKED["members"] == 0


def test_what_is_resolved_follows_the_fields_and_nothing_else() -> None:
    made = Scenario(
        system=MultiPaxos(nodes=3), network=TWO, leader="y", machines={"n1": Machine(cores=2)}, retry=Retry()
    )
    found = made.resolved
    assert (found.system.leader, found.size, found.client_timeout) == ("n1", 3, 1.0)  # type: ignore[attr-defined]
    assert dict(found.places) == {"n0": "x", "n1": "y", "n2": "x"}
    assert [found.machines[name].cores for name in ("n0", "n1", "n2")] == [1, 2, 1]
    assert tuple(member.name for member in found.members) == ("n0", "n1", "n2")
    assert all(member.settings is None or member.settings == found.system for member in found.members)
    assert replace(made, leader="x").resolved.system.leader == "n0"  # type: ignore[attr-defined]
    assert made.vary("retry.timeout", 3.0).resolved.client_timeout == 3.0
    with pytest.raises(TypeError):
        found.places["n0"] = "y"  # type: ignore[index]


def test_a_scenario_that_was_sent_to_another_process_is_equal_and_resolves_again() -> None:
    made = Scenario(system=Raft(nodes=3), network=TWO)
    sent: Scenario = pickle.loads(pickle.dumps(made))
    assert sent == made
    assert "resolved" not in vars(sent)
    assert sent.resolved == made.resolved


def test_the_systems_of_a_fair_comparison_resolve_to_one_timing() -> None:
    found = fair([Raft(), MultiPaxos()], Scenario(system=Raft(), network=TWO))
    assert {(s.resolved.detection, s.resolved.client_timeout, s.resolved.size) for s in found} == {
        (2.0, 1.0, 5)
    }


@dataclass(frozen=True, kw_only=True)
class Empty(System):
    """Has no members at all."""

    client_class = Node

    def members(self) -> tuple[Member, ...]:
        return ()


def test_a_system_without_members_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="Scenario: Empty has no members"):
        Scenario(system=Empty())


def test_the_admin_client_finds_the_server_of_a_request_once_for_all_attempts() -> None:
    made = Scenario(system=Counted(nodes=3, transfer=True), network=TWO, duration=30.0)
    simulation = made.start(seed=1)
    simulation.run(until=5.0)
    for name in simulation.replicas:
        simulation.crash(name)
    simulation.administer(Transfer("n1"))
    ASKED["members"] = 0
    simulation.run(until=20.0)
    tries = simulation.nodes["admin"].attempts  # type: ignore[attr-defined]
    assert tries > 5
    assert ASKED["members"] <= 1
