"""Groups and chains on some of many machines: where they are, who leads, and which of them a joint failure stops."""

from __future__ import annotations

from typing import Any

import pytest

from sim import Retry, Scenario
from sim.faults import Crash
from sim.network import constant
from sim.placement import Copysets, RandomServers, ServerWindow
from sim.protocols import ChainReplication, Craq, Raft, ShardedChain, ShardedRaft
from sim.testing import survive
from sim.workload import ClosedLoop, UniformKeys
from tests.budget import storms

THREE = Raft(nodes=3)


def placed(placement: Any, groups: int = 12, servers: int = 12, **fields: Any) -> ShardedRaft:
    return ShardedRaft(group=THREE, groups=groups, servers=servers, placement=placement, **fields)


def chains(placement: Any, groups: int = 12, servers: int = 12, **fields: Any) -> ShardedChain:
    return ShardedChain(groups=groups, servers=servers, placement=placement, **fields)


@pytest.mark.parametrize("placement", [RandomServers(3), ServerWindow(3, 4), Copysets(3, 4)], ids=repr)
def test_each_group_is_on_different_machines_and_its_members_say_so(placement: Any) -> None:
    system = placed(placement, groups=200)
    assert len(system.machines) == 12
    on: dict[str, list[str | None]] = {}
    for member in system.members():
        on.setdefault(member.group, []).append(member.machine)
    assert tuple(tuple(machines) for machines in on.values()) == system.placed
    assert {len(set(machines)) for machines in system.placed} == {3}
    assert {machine for machines in system.placed for machine in machines} == set(system.machines)


def test_copysets_are_few_and_random_servers_are_many() -> None:
    sets = {
        placement: {frozenset(machines) for machines in placed(placement, groups=200).placed}
        for placement in (Copysets(3, 2), Copysets(3, 4), RandomServers(3))
    }
    found = list(map(len, sets.values()))
    assert found[0] == 12 // 3
    assert found[1] <= 2 * found[0]
    assert found[2] > 100
    assert len(frozenset.union(*sets[Copysets(3, 2)])) == 12, "the sets of a permutation share no machine"


def test_another_seed_is_another_placement_and_the_same_is_the_same() -> None:
    first, again, other = (placed(RandomServers(3), placement_seed=seed) for seed in (1, 1, 2))
    assert first.placed == again.placed != other.placed


@pytest.mark.parametrize(("make", "needed"), [(placed, 2), (chains, 1)])
def test_a_joint_failure_stops_groups_without_a_majority_and_chains_without_a_server(
    make: Any, needed: int
) -> None:
    system = make(Copysets(3, 4), groups=8)
    dead = set(system.placed[0])
    run = Scenario(
        system=system,
        network=constant(0.001),
        workload=ClosedLoop(clients=40, think=0.05, keys=UniformKeys(60), reads=0.3),
        faults=[Crash(machine, at=2.0) for machine in sorted(dead)],
        retry=Retry(timeout=0.1, deadline=0.9),
        duration=8.0,
        check=True,
    ).run(seed=1)
    late = run.operations[run.operations["called"].between(6.0, 7.0)]
    groups = late.groupby(late["key"].map(system.group_for))
    answered = groups["status"].agg(lambda status: (status == "ok").all())
    assert answered.to_dict() == {
        group: 3 - len(dead.intersection(machines)) >= needed for group, machines in enumerate(system.placed)
    }
    assert set(answered) == {True, False}
    assert run.check().ok


@pytest.mark.parametrize("how", ["spread", "pinned"])
def test_heads_start_where_they_are_put_and_clients_learn_each_head_and_tail(how: Any) -> None:
    system = ShardedChain(groups=3, leaders=how)
    run = Scenario(
        system=system,
        network=constant(0.001),
        workload=ClosedLoop(clients=4, think=0.01, keys=UniformKeys(40), reads=0.5),
        duration=2.0,
        check=True,
        trace=True,
    ).run(seed=1)
    assert run.check().ok
    spread = how == "spread"
    assert [group.leader for group in system.each] == [f"g{g}.n{g if spread else 0}" for g in range(3)]
    late = run.messages[(run.messages["kind"] == "Request") & (run.messages["sent"] > 1.0)]
    assert set(late["dst"]) == {
        name for g in system.each for name in (g.first_chain.head, g.first_chain.tail)
    }
    latency = run.operations[run.operations["called"] > 1.0].groupby("kind")["latency"]
    assert latency.max().to_dict() == pytest.approx({"get": 0.002, "put": 0.004})


def test_the_first_leader_is_where_it_is_put_and_the_others_are_spread() -> None:
    system = placed(RandomServers(3), groups=3)
    third = placed(RandomServers(3), groups=3, leader=system.placed[0][2])
    assert [group.leader for group in system.each] == ["g0.n0", "g1.n1", "g2.n2"]
    assert [group.leader for group in third.each] == ["g0.n2", "g1.n0", "g2.n1"]


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"servers": 9}, "servers=9 machines for groups of 3 need placement="),
        ({"placement": Copysets(3, 2)}, "placement= needs servers="),
        ({"placement": Copysets(5, 4), "servers": 9}, "has 5 replicas, but a group has 3"),
        ({"placement": ServerWindow(3, 5), "servers": 6}, "needs at least 8 servers, not 6"),
        ({"placement": RandomServers(3), "servers": 9, "leaders": "pinned"}, "leaders='pinned' needs all"),
        ({"placement_seed": 1}, "placement_seed is of no use without placement="),
        ({"placement": RandomServers(3), "servers": 9, "leader": "m9"}, "leader must be one of the machines"),
    ],
)
def test_what_says_nothing_of_the_place_or_cannot_be_is_refused(fields: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        ShardedRaft(**{"group": THREE, "groups": 2, **fields})


def test_as_many_machines_as_members_need_no_placement() -> None:
    assert ShardedRaft(group=THREE, servers=3).placed == ShardedRaft(group=THREE).placed


def test_chains_of_what_reads_anywhere_are_refused() -> None:
    with pytest.raises(ValueError, match="group must not be Craq"):
        ShardedChain(group=Craq())
    with pytest.raises(ValueError, match="group must be a ChainReplication without a prefix"):
        ShardedChain(group=ChainReplication(leader="n1"))


@storms(2, 1.5, longer=5.0, seeds=range(50, 150))
@pytest.mark.parametrize("placement", [RandomServers(3), Copysets(3, 2)], ids=repr)
@pytest.mark.parametrize("make", [placed, chains])
def test_placed_groups_are_safe_in_storms_and_go_on_after_them(
    make: Any, placement: Any, seeds: range, length: float
) -> None:
    for seed in seeds:
        survive(make(placement, groups=3, servers=6, placement_seed=seed), seed, length)
