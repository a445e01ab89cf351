"""A leader and a first answered write come within k election timeouts; a Raft whose timeouts are equal is caught."""

from __future__ import annotations

import dataclasses
from math import comb, inf
from typing import Any

import pytest

from sim import Member, System
from sim.distributions import Exponential
from sim.lab.liveness import Awaited, Liveness, measure_liveness
from sim.network import Topology, lan
from sim.protocols import (
    Abd,
    BasicRaft,
    ChainReplication,
    Craq,
    EPaxos,
    HeartbeatDetectors,
    Mencius,
    MultiPaxos,
    OmniPaxos,
    PrimaryBackup,
    Raft,
    ViewstampedReplication,
)
from sim.protocols.consensus.raft.node import RaftNode

TWO_ELECTIONS, ONE_ELECTION, VIEW_SERVICE = (5.0, 7.0), (3.0, 5.0), (2.0, 4.0)
THREE_ROUNDS = (3.5, 5.5)
"""Within so many election timeouts: a leader, a write. Derived in `sim.lab.liveness`."""

FEW, MANY = 12, 500

SPLITTING = {
    "BasicRaft 3": BasicRaft(nodes=3),
    "BasicRaft 5": BasicRaft(nodes=5),
    "thesis' Raft 3": Raft(nodes=3, pre_vote=True, check_quorum=True),
    "thesis' Raft 5": Raft(nodes=5, pre_vote=True, check_quorum=True),
}
OTHERS: dict[str, tuple[System, tuple[float, float]]] = {
    "MultiPaxos": (MultiPaxos(nodes=3), ONE_ELECTION),
    "OmniPaxos": (OmniPaxos(nodes=3), THREE_ROUNDS),
    "VR": (ViewstampedReplication(nodes=3), ONE_ELECTION),
    "Mencius": (Mencius(nodes=3), ONE_ELECTION),
    "EPaxos": (EPaxos(nodes=3), ONE_ELECTION),
    "PrimaryBackup": (PrimaryBackup(), VIEW_SERVICE),
    "ChainReplication": (ChainReplication(), VIEW_SERVICE),
    "Craq": (Craq(), VIEW_SERVICE),
}
JITTER = lan(Exponential(0.005))


def measured(
    system: System, seeds: int, bounds: tuple[float, float], network: Topology | None = None
) -> Liveness:
    leader, write = bounds
    return measure_liveness(system, range(seeds), network=network, leader_within=leader, write_within=write)


@pytest.mark.parametrize(("n", "up"), [(3, 2), (3, 3), (5, 4), (5, 5), (7, 6)])
def test_two_elections_in_a_row_split_in_less_than_one_run_of_a_hundred(n: int, up: int) -> None:
    """The thesis' closed form, at the largest ratio of latency to timeout that etcd's rule allows."""
    ratio, needed = 0.05, up - n // 2
    split = sum(comb(up, i) * ratio**i * (1 - ratio) ** (up - i) for i in range(needed, up + 1))
    assert split**2 < 0.01


def test_raft_leads_and_answers_in_99_percent_of_seeds_without_jitter() -> None:
    found = measured(BasicRaft(nodes=3), 300, TWO_ELECTIONS)
    assert found.status == "valid", found.table().to_string()
    assert found.situations == ("start", "crash", "power")


@pytest.mark.parametrize("name", SPLITTING)
def test_nothing_speaks_against_the_claim_where_votes_may_split(name: str) -> None:
    found = measured(SPLITTING[name], FEW, TWO_ELECTIONS)
    assert found.status != "invalid", found.table().to_string()


@pytest.mark.parametrize("name", OTHERS)
def test_no_run_is_late_where_votes_cannot_split(name: str) -> None:
    system, bounds = OTHERS[name]
    found = measured(system, FEW, bounds)
    assert [found.late(situation) for situation in found.situations] == [0] * len(found.situations)


@pytest.mark.nightly
@pytest.mark.parametrize("network", [None, JITTER], ids=["constant", "jitter"])
@pytest.mark.parametrize("name", [*SPLITTING, *OTHERS])
def test_a_leader_and_a_write_come_in_time_in_99_percent_of_many_seeds(
    name: str, network: Topology | None
) -> None:
    system, bounds = OTHERS[name] if name in OTHERS else (SPLITTING[name], TWO_ELECTIONS)
    found = measured(system, MANY, bounds, network)
    print(f"\n{name}\n{found.table().round(2).to_string()}")
    assert found.status == "valid", found.table().to_string()


# Mutants: election timeouts that are not random


class EqualRaftNode(RaftNode):
    def draw_election_timeout(self) -> float:
        return 1.5 * float(self.settings.detection_timeout)


@dataclasses.dataclass(frozen=True, kw_only=True)
class EqualRaft(BasicRaft):
    def members(self) -> tuple[Member, ...]:
        return tuple(dataclasses.replace(m, node_class=EqualRaftNode) for m in super().members())


@pytest.mark.parametrize(
    "system",
    [
        EqualRaft(nodes=3),
        EqualRaft(nodes=5),
        Raft(nodes=3, timeout_spread=1.0),
        Raft(nodes=3, timeout_spread=1.0, pre_vote=True, check_quorum=True),
    ],
    ids=lambda system: system.label,
)
def test_a_raft_with_equal_timeouts_never_leads_again_without_jitter(system: System) -> None:
    found = measured(system, 5, TWO_ELECTIONS)
    assert found.verdict("start") is not False  # the first leader is named, and has no rival
    assert found.verdict("crash") is False
    assert found.late("crash") == 5
    assert found.status == "invalid"


def one_timeout_for_all(node: Any) -> None:
    node.set_timer("election", 1.5 * node.detection)


def test_multi_paxos_needs_no_random_timeouts_because_ballots_are_ordered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of two candidates at the same instant the one of the higher ballot wins, so equal timeouts do no harm."""
    from sim.protocols.consensus.multipaxos.node import MultiPaxosNode

    monkeypatch.setattr(MultiPaxosNode, "expect_leader", one_timeout_for_all)
    found = measured(MultiPaxos(nodes=3), 5, ONE_ELECTION)
    assert [found.late(situation) for situation in found.situations] == [0, 0, 0]


# The verdict


def liveness(late: int, count: int) -> Liveness:
    rows = tuple(Awaited(seed, "crash", inf if seed < late else 1.0, 2.0) for seed in range(count))
    return Liveness("x", rows, 5.0, 7.0, 0.99)


@pytest.mark.parametrize(
    ("late", "count", "status"),
    [
        (0, 298, "unknown"),
        (0, 299, "valid"),
        (1, 472, "unknown"),
        (1, 473, "valid"),
        (1, 1, "unknown"),
        (2, 2, "invalid"),
        (6, 100, "invalid"),
        (3, 100, "unknown"),
        (300, 300, "invalid"),
    ],
)
def test_a_claim_is_proved_or_refuted_only_by_enough_seeds(late: int, count: int, status: str) -> None:
    assert liveness(late, count).status == status


def test_an_answer_that_was_called_before_does_not_count_and_seeds_give_the_same_times() -> None:
    one, again = (measured(BasicRaft(nodes=3), 5, TWO_ELECTIONS) for _ in range(2))
    assert one == again
    crashes = [r for r in one.waits if r.situation == "crash"]
    assert all(r.write > r.leader >= 0.9 for r in crashes)  # nobody campaigns while a leader was heard of


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(ValueError, match="seeds must not be empty"):
        measure_liveness(BasicRaft(), [])
    with pytest.raises(ValueError, match="serves no writes"):
        measure_liveness(HeartbeatDetectors(), range(3))


def test_a_leaderless_system_is_measured_by_its_writes() -> None:
    found = measured(Abd(), 3, (1.0, 4.0))
    assert found.frame()["leader"].isna().all()
    assert [found.late(situation) for situation in found.situations] == [0, 0, 0]
