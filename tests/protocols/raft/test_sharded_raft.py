"""Many Raft groups on the same machines: routing by key, where leaders are, what that costs, and storms."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from sim import Retry, Scenario
from sim.cluster import Machine
from sim.faults import Crash
from sim.lab import compare
from sim.network import Constant, constant, lan, wan
from sim.protocols import MultiPaxos, Raft, ShardedRaft
from sim.protocols.consensus.raft.node import RaftNode
from sim.protocols.kv import KeyValueStore
from sim.protocols.sessions import Sessions
from sim.system import SafetyViolation
from sim.workload import ClosedLoop, Mix, UniformKeys


def scenario(system: ShardedRaft, **fields: Any) -> Scenario:
    fields = {
        "network": constant(0.001),
        "workload": ClosedLoop(clients=4, think=0.01, keys=UniformKeys(40), reads=0.5),
        "duration": 1.0,
        "check": True,
        **fields,
    }
    return Scenario(system=system, **fields)


def leaders(run: Any) -> list[str]:
    """The servers that were elected, in the order of their groups."""
    return sorted(run.events[run.events.event == "elected"].node)


@pytest.mark.parametrize(
    ("how", "expected"),
    [("spread", ["g0.n0", "g1.n1", "g2.n2", "g3.n0"]), ("pinned", ["g0.n0", "g1.n0", "g2.n0", "g3.n0"])],
)
def test_leaders_start_where_they_are_put(how: Any, expected: list[str]) -> None:
    run = scenario(ShardedRaft(group=Raft(nodes=3), groups=4, leaders=how)).run(seed=1)
    assert leaders(run) == expected
    assert run.check().ok


def test_a_place_names_the_machine_of_the_first_leader() -> None:
    system = ShardedRaft(group=Raft(nodes=3), groups=3, leaders="pinned")
    run = scenario(system, network=wan("virginia", "tokyo", "ireland"), leader="tokyo").run(seed=1)
    assert leaders(run) == ["g0.n1", "g1.n1", "g2.n1"]
    with pytest.raises(ValueError, match="no machine of the first group stands in 'oregon'"):
        system.with_leader("oregon", {"g0.n0": "tokyo"})


def test_a_key_is_held_by_its_group_alone() -> None:
    system = ShardedRaft(group=Raft(nodes=3), groups=4)
    simulation = scenario(system).start(seed=2)
    simulation.run()
    held: dict[int, set[str]] = {}
    for name, node in simulation.members.items():
        assert isinstance(node, RaftNode)
        held.setdefault(system.group_of[name], set()).update(node.store.application.data)
    assert all(system.group_for(key) == group for group, keys in held.items() for key in keys)
    assert all(held[group] for group in range(4))


def test_all_servers_of_a_machine_may_crash_and_other_leaders_take_over() -> None:
    system = ShardedRaft(group=Raft(nodes=3), groups=3, leaders="pinned")
    run = scenario(system, faults=[Crash("m0", at=1.0, down=1.0)], duration=6.0).run(seed=3)
    assert run.violation is None
    assert run.check().ok
    assert run.acknowledged_lost == 0
    later = run.events[(run.events.event == "elected") & (run.events.time > 1.0)].node
    assert set(later.str.slice(0, 2)) == {"g0", "g1", "g2"}
    assert set(later.str.slice(3, 5)) <= {"n1", "n2"}


@pytest.mark.parametrize("n", [3, pytest.param(5, marks=pytest.mark.nightly)])
def test_spread_leaders_carry_n_squared_over_2n_minus_1_times_as_much(n: int) -> None:
    """A leader handles n messages a write and a follower 1: n on the one machine, or 2n - 1 over n of them."""
    throughput = {}
    for how in ("spread", "pinned"):
        group = Raft(nodes=n, heartbeat=5.0, detection=50.0)  # else heartbeats take their share of the cores
        system = ShardedRaft(group=group, groups=n, leaders=how)  # type: ignore[arg-type]
        run = Scenario(
            system=system,
            network=constant(0.0002),
            workload=ClosedLoop(
                clients=60 * n, keys=UniformKeys(5_000), reads=0.0
            ),  # cores are hardly ever idle
            machines=Machine(per_message=5e-4),
            retry=Retry(timeout=60.0),
            duration=6.0,
            warmup=3.0,
        ).run(seed=1)
        throughput[how] = run.summary()["throughput"]
    assert throughput["pinned"] == pytest.approx(2000 / n, rel=0.01)
    assert throughput["spread"] / throughput["pinned"] == pytest.approx(n**2 / (2 * n - 1), rel=0.02)


def test_it_is_one_word_in_compare() -> None:
    base = scenario(ShardedRaft(group=Raft(nodes=3), groups=2))
    table = compare([base.system, MultiPaxos(nodes=3)], base, seeds=[1]).table()
    assert list(table["checked"]) == ["1/1 valid"] * 2
    assert table.iloc[0, 0].startswith("Sharded Raft, groups 2, leaders spread")


@pytest.mark.parametrize("reads", ["index", "follower", "lease"])
def test_its_clients_read_as_those_of_a_group_do(reads: Any) -> None:
    run = scenario(ShardedRaft(group=Raft(nodes=3, reads=reads), groups=3), duration=3.0).run(seed=4)
    assert run.check().ok
    late = run.operations[(run.operations.kind == "get") & (run.operations.called > 1.5)]
    servers = late.node.dropna().str.slice(3, 5)
    assert set(servers) == {"n0", "n1", "n2"}
    by_client = servers.groupby(late.process).value_counts(normalize=True).groupby("process").max()
    if reads == "follower":
        assert by_client.min() > 0.9  # a client reads on one machine, whatever the group
    else:
        assert by_client.max() < 0.6  # the leader of each group


def test_a_broken_group_is_found_out_among_many() -> None:
    """One server of one group forgets its sessions: its group's invariant says so."""

    class Forgetful(RaftNode):
        def apply(self, index: int, command: Any) -> None:
            self.store.sessions.pop(command.session, None)
            super().apply(index, command)

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Broken(ShardedRaft):
        def members(self) -> Any:
            return tuple(
                dataclasses.replace(m, node_class=Forgetful) if m.name.startswith("g1.") else m
                for m in super().members()
            )

    echoing = scenario(
        Broken(group=Raft(nodes=3), groups=3),
        network=lan(Constant(0.02), duplicate=0.5),
        workload=ClosedLoop(clients=4, mix=Mix({"increment": 1}, UniformKeys(30))),
    )
    with pytest.raises(SafetyViolation, match=r"^exactly once .* on g1\.n"):
        echoing.start(seed=1).run()


def test_lost_writes_are_counted_group_by_group() -> None:
    system = ShardedRaft(group=Raft(nodes=3), groups=2)
    simulation = scenario(system).start(seed=1)
    simulation.run()
    assert simulation.acknowledged_lost == 0
    for name, node in simulation.members.items():
        if name.startswith("g1."):
            node.log.truncate(0)  # type: ignore[attr-defined]
            node.store = Sessions(KeyValueStore())  # type: ignore[attr-defined]
    of_group_1 = [o for o in simulation.acknowledged.values() if system.group_for(o.operation.key) == 1]
    assert simulation.acknowledged_lost == len(of_group_1) > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"leader": "n0"}, "leader must be one of the machines m0, m1, m2, not 'n0'"),
        (
            {"group": Raft(nodes=3, leader="n1")},
            "group must be a BasicRaft without a prefix and leader of its own",
        ),
    ],
)
def test_settings_that_cannot_work_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ShardedRaft(**{"group": Raft(nodes=3), **options})


def test_an_unsafe_group_marks_the_whole() -> None:
    group = Raft(nodes=3, reads="lease", lease=0.6, heartbeat=0.05, unsafe=True)
    assert ShardedRaft(group=group).label.startswith("UNSAFE ShardedRaft(")
