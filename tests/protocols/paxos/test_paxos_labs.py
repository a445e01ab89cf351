"""Requirements of public laboratory suites on a state machine replicated by Paxos (DSLabs Paxos lab), rephrased."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from sim.analysis.checks import check
from sim.faults import Partition
from sim.lab import Scenario
from sim.network import Exponential, lan
from sim.protocols import Mencius, MultiPaxos, ViewstampedReplication
from sim.protocols.client import Retry
from sim.protocols.consensus.client_ghost import commands_of
from sim.system import System
from sim.workload import ClosedLoop, Mix, UniformKeys

DELTA = 0.01
FIVE = ("n0", "n1", "n2", "n3", "n4")


@pytest.mark.parametrize(
    "system", [MultiPaxos(nodes=5), ViewstampedReplication(nodes=5), Mencius(nodes=5)], ids=lambda s: s.label
)
def test_a_command_costs_no_more_than_15_messages_a_server(system: System) -> None:
    """One client at a time; with the heartbeats of five seconds, most of which are idle."""
    run = Scenario(
        system=system,
        network=lan(Exponential(0.001)),
        workload=ClosedLoop(clients=1, operations=100, keys=UniformKeys(5)),
        duration=5.0,
    ).run(seed=1)
    assert len(run.operations) == 100
    between = run.links[run.links["src"].isin(FIVE) & run.links["dst"].isin(FIVE)]
    messages = between[between["src"] != between["dst"]]["messages"].sum()
    assert 8 <= messages / 100 <= 15 * 5


def hoarded(simulation: Any) -> int:
    """The most bytes of values in the votes of one replica."""
    return max(
        sum(command.size for vote in node.votes.values() for command in commands_of(vote.command))
        for node in (simulation.nodes[name] for name in FIVE)
    )


def test_what_is_kept_of_the_log_stays_small_and_what_a_replica_missed_does_not_change_that() -> None:
    """Megabytes go through; a replica that is away for half of them is sent the snapshot, and keeps no more."""
    size, keys = 10_000, 3
    system = MultiPaxos(nodes=5, snapshot_every=20, retain=20)
    scenario = Scenario(
        system=system,
        network=lan(Exponential(0.001)),
        workload=ClosedLoop(
            clients=3, think=Exponential(0.005), mix=Mix({"put": 1}, UniformKeys(keys), value_bytes=size)
        ),
        faults=[Partition(("n4",), at=1.0, duration=2.0)],
        duration=5.0,
        check=True,
    )
    simulation = scenario.start(1)
    worst = 0
    while simulation.now < 5.0:
        simulation.run(until=simulation.now + 0.1)
        worst = max(worst, hoarded(simulation))
    applied = [simulation.nodes[name].applied for name in FIVE]
    assert min(applied) * size > 5e6
    assert max(applied) - min(applied) < 40
    assert worst < (20 + 20 + 10) * size  # a snapshot's worth, what is retained, and what is under way
    events = [(node, what) for _, node, what, _ in simulation.cluster.recorder.events]
    assert ("n4", "snapshot") in events


def test_with_a_new_cut_every_two_seconds_no_client_waits_that_long() -> None:
    draw = Random(7)
    faults = []
    for k in range(8):
        names = list(FIVE)
        draw.shuffle(names)
        cut = draw.choice((2, 3))
        faults.append(Partition((tuple(names[:cut]), tuple(names[cut:])), at=1.0 + 2.0 * k, duration=2.0))
    run = Scenario(
        system=MultiPaxos(nodes=5, heartbeat=0.02, detection=0.1),
        network=lan(Exponential(0.001)),
        workload=ClosedLoop(clients=5, think=Exponential(0.02), keys=UniformKeys(5)),
        faults=faults,
        retry=Retry(timeout=0.1, backoff=0.01, backoff_max=0.05),
        duration=17.0,
        check=True,
    ).run(seed=3)
    assert run.violation is None
    assert run.operations["latency"].max() < 2.0
    assert len(run.events[run.events["event"] == "elected"]) > 3  # leaders were cut off
    assert check(run.operations, "linearizable").status == "valid"


def test_a_client_does_not_stay_with_a_minority_whose_members_believe_in_their_leader() -> None:
    """The client is beside n1, which is cut off together with the leader, and takes it for the leader still."""
    run = Scenario(
        system=MultiPaxos(nodes=5, heartbeat=0.02, detection=0.1),
        network=lan(Exponential(0.001)),
        workload=ClosedLoop(clients={"n1": 1}, think=Exponential(0.02), keys=UniformKeys(5)),
        faults=[Partition((("n0", "n1"), ("n2", "n3", "n4")), at=1.0, duration=5.0)],
        retry=Retry(timeout=0.1, backoff=0.01, backoff_max=0.05),
        duration=4.0,
    ).run(seed=1)
    assert run.operations["latency"].max() < 0.6
    assert run.operations["returned"].max() > 3.9


def holes(s: Any, draw: Random) -> None:
    """Leaders whose proposals reach some or nobody, and that crash, one after the other; then all is well again."""
    for step in range(30):
        up = [name for name in FIVE if s.cluster.hosts[name].is_up]
        leaders = [name for name in up if s.node(name).role == "leader"]
        if not leaders or draw.random() < 0.2:
            for name in FIVE:
                s.restart(name)
            for name in leaders[:1]:
                s.crash(name)
            s.step(draw.choice([name for name in FIVE if name not in leaders]), "campaign")
            s.run(0.025)
        else:
            leader = draw.choice(leaders)
            reached = draw.choice((0, 0, 1, 2, 4))
            others = [name for name in FIVE if name != leader]
            draw.shuffle(others)
            s.cluster.network.cut([(leader, name) for name in others[reached:]])
            s.ask(leader, "append", f"{step},", session=step)
            s.run(0.012)
            s.heal()
    for name in FIVE:
        s.restart(name)
    s.run(4.0)


def accepted_or_cleared(s: Any, slot: int, value: Any) -> int:
    """How many replicas have accepted what was chosen in a slot, or have it in a snapshot."""
    nodes = [s.node(name) for name in FIVE]
    return sum(
        slot <= getattr(node, "compacted", 0) or (slot in node.votes and node.votes[slot].command == value)
        for node in nodes
    )


@pytest.mark.parametrize("options", [{}, {"snapshot_every": 3, "retain": 0}], ids=str)
def test_logs_with_holes_are_filled_and_what_was_chosen_is_accepted_by_a_majority_or_cleared(
    stage: Callable[..., Any], options: dict[str, Any]
) -> None:
    filled = 0
    for seed in range(12):
        s = stage(MultiPaxos(nodes=5, **options), seed=seed)
        s.run(0.055)
        holes(s, Random(seed))
        ghost = s.cluster.invariants[0]
        last = max(ghost.chosen)
        assert sorted(ghost.chosen) == list(range(1, last + 1))
        assert [s.node(name).applied for name in FIVE] == [last] * 5
        for slot, (_, value) in ghost.chosen.items():
            assert accepted_or_cleared(s, slot, value) >= 3
            filled += value.kind == "noop"
        s.finish()
    assert filled > 5


def test_a_group_of_one_serves_alone_and_keeps_what_it_acknowledged(stage: Callable[..., Any]) -> None:
    s = stage(MultiPaxos(nodes=1, snapshot_every=4, retain=0), fsync=0.002)
    s.run(0.05)
    for session in range(10):
        s.ask("n0", "increment", 1, session=session)
        s.run(0.05)
    assert [r.result for r in s.replies] == list(range(1, 11))
    s.crash("n0")
    s.restart("n0")
    s.run(2.0)
    s.ask("n0", "increment", 1, session=99)
    s.run(0.1)
    assert s.replies[-1].result == 11
    s.finish()
