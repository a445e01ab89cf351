"""After a storm new operations are answered and every replica catches up; else the storm is a violation."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import sim.protocols
from sim import Member, Node, Scenario, System
from sim.faults import Crash
from sim.lab import draw_storm, run_storm
from sim.network import constant
from sim.protocols import (
    BasicRaft,
    BroadcastStore,
    ChainReplication,
    Craq,
    Crdt,
    EPaxos,
    EPaxosStar,
    Mencius,
    MultiPaxos,
    MultiPrimary,
    OmniPaxos,
    PrimaryBackup,
    Raft,
    ShardedRaft,
    ViewstampedReplication,
)
from sim.protocols.balancing.store import BalancedStore
from sim.protocols.client import Client, Operation, Outcome, Reply, Request
from sim.system import LivenessViolation
from sim.workload import ClosedLoop, Mix, NoLoad, UniformKeys
from sim.workload.demand import Demand


class Silent(Node):
    """Takes requests and answers nobody."""

    def on_request(self, src: str, msg: Request) -> None:
        pass


class Refusing(Node):
    """Refuses everything."""

    def on_request(self, src: str, msg: Request) -> None:
        self.send(src, Reply(msg.command.session, msg.command.sequence, "fail"))


class OnlyReads(Node):
    """Answers reads, and no writes: as a chain whose head is gone."""

    def on_request(self, src: str, msg: Request) -> None:
        if msg.command.kind == "get":
            self.send(src, Reply(msg.command.session, msg.command.sequence, "ok"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Three(System):
    kind: Any = Silent
    client_class = Client

    def members(self) -> tuple[Member, ...]:
        return tuple(Member(f"n{i}", self.kind) for i in range(3))


@pytest.mark.parametrize("kind", [Silent, Refusing, OnlyReads])
def test_replicas_that_never_answer_fail_every_storm(kind: type[Node]) -> None:
    """Also where clients have a deadline, and give up before the storm is over."""
    system = Three(kind=kind)
    for seed in range(12):
        run = run_storm(draw_storm(system, seed, length=0.5), seed, bound=2.0)
        assert isinstance(run.violation, LivenessViolation), seed
        assert run.violation.invariant == "progress after healing"
        assert "has no answer to a new" in str(run.violation)


def test_a_cas_that_does_not_match_is_an_answer() -> None:
    """`fail` counts where the state machine says so, and nowhere else."""

    class Source:
        def one(self, kind: str) -> Operation:
            return Operation(kind, "x")

    class Asker:
        def __init__(self) -> None:
            self.asked: list[str] = []

        def open_session(self) -> int:
            return 7

        def submit(self, session: int, operation: Operation) -> None:
            self.asked.append(operation.kind)

        def set_timer(self, name: str, delay: float, key: Any) -> None:
            self.asked.append("later")

    client: Any = Asker()
    demand = Demand(Source(), ["cas", "put"], may_fail=frozenset({"cas"}))
    demand.begin(client)
    for kind, status in (("cas", "fail"), ("put", "fail"), ("put", "ok"), ("cas", "ok"), ("put", "ok")):
        demand.completed(client, Outcome(6, 1, Operation(kind, "x"), 0.0, status="ok"))  # an old session
        demand.completed(client, Outcome(7, 1, Operation(kind, "x"), 0.0, status=status))
        if client.asked[-1] == "later":
            demand.wake(client, "demand")
    assert client.asked == ["cas", "put", "later", "put", "cas", "put"]
    assert demand.left == []


def test_each_client_asks_for_each_kind_of_its_workload_after_the_storm() -> None:
    system = BasicRaft(nodes=3)
    scenario = draw_storm(system, 2, length=1.0, clients=4)  # its clients have a deadline
    run = run_storm(scenario, 2)
    assert run.violation is None
    rows = run.operations
    late = rows[(rows["called"] >= 1.0) & (rows["status"] != "info")]
    kinds = late.groupby("node")["kind"].unique()
    assert set().union(*kinds) == scenario.workload.kinds
    assert len(late) >= 4 * len(scenario.workload.kinds)


# Catching up

QUIET = {"heartbeat": 0.05, "detection": 0.5}
REPLICATED: dict[str, tuple[System, tuple[str, ...]]] = {
    "BasicRaft": (BasicRaft(nodes=3), ("on_append_entries", "on_election_timeout")),
    "Raft": (Raft(nodes=3, pre_vote=True), ("on_append_entries", "on_election_timeout")),
    "snapshots": (
        Raft(nodes=3, snapshot_every=4),
        ("on_install_snapshot", "on_append_entries", "on_election_timeout"),
    ),
    "MultiPaxos": (MultiPaxos(nodes=3), ("on_accept", "on_accepted", "on_learned", "on_heartbeat")),
    "OmniPaxos": (OmniPaxos(nodes=3), ("on_prepare", "on_promise")),
    "Mencius": (Mencius(nodes=3), ("on_known", "on_chosen")),
    "VR": (ViewstampedReplication(nodes=3), ("on_recovery_response",)),
    "EPaxos": (EPaxos(nodes=3), ("on_commit",)),
    "EPaxosStar": (EPaxosStar(nodes=3), ("on_commit",)),
    "PrimaryBackup": (PrimaryBackup(mode="sync"), ("on_append", "on_install_snapshot")),
    "semi-sync": (PrimaryBackup(mode="semi-sync"), ("on_append", "on_install_snapshot")),
    "async": (PrimaryBackup(mode="async"), ("on_append", "on_install_snapshot")),
    "ChainReplication": (ChainReplication(), ("on_forward",)),
    "Craq": (Craq(), ("on_forward",)),
    "BroadcastStore": (BroadcastStore(order="fifo"), ("on_update",)),
    "total": (BroadcastStore(order="total"), ("on_append_entries", "on_election_timeout")),
    "Crdt": (Crdt(), ("on_spread",)),
    "MultiPrimary": (MultiPrimary(), ("on_update",)),
    "ShardedRaft": (ShardedRaft(), ("on_append_entries", "on_election_timeout")),
    "BalancedStore": (BalancedStore(store=BasicRaft(nodes=3)), ("on_append_entries", "on_election_timeout")),
}


def deaf(node_class: type[Node], handlers: tuple[str, ...]) -> type[Node]:
    """That node, but after a restart these handlers do nothing."""

    def muted(name: str) -> Callable[..., Any]:
        original = getattr(node_class, name)

        def on_message(self: Any, src: str, msg: Any) -> None:
            if self.incarnation == 0:
                original(self, src, msg)

        def on_timeout(self: Any) -> None:
            if self.incarnation == 0:
                original(self)

        return on_timeout if name.endswith("_timeout") else on_message

    own = {name: muted(name) for name in handlers if hasattr(node_class, name)}
    assert own, f"{node_class.__name__} has none of {handlers}"
    return type(f"Deaf{node_class.__name__}", (node_class,), own)


def with_deaf(system: System, victim: str, handlers: tuple[str, ...]) -> System:
    """The system with one member that is deaf after a restart."""
    whole = type(system)

    def members(self: Any) -> tuple[Member, ...]:
        return tuple(
            dataclasses.replace(m, node_class=deaf(m.node_class, handlers)) if m.name == victim else m
            for m in whole.members(self)
        )

    mutant = type(f"Deaf{whole.__name__}", (whole,), {"members": members})
    return mutant(**{f.name: getattr(system, f.name) for f in dataclasses.fields(system) if f.init})


def after_a_crash(system: System, victim: str) -> Any:
    kinds = sorted({"get", "put", "increment", "add"} & system.operations)
    scenario = Scenario(
        system=system,
        network=constant(0.005),
        workload=ClosedLoop(clients=3, think=0.01, mix=Mix(dict.fromkeys(kinds, 1), UniformKeys(3))),
        faults=[Crash(victim, at=0.5, down=0.3)],
        duration=2.0,
        check=True,
    )
    return run_storm(scenario, 1, bound=4.0)


def victim_of(system: System) -> str:
    return [member.name for member in system.members() if member.role == "replica"][-1]


@pytest.mark.parametrize("name", REPLICATED)
def test_a_replica_that_never_catches_up_after_a_restart_is_found(name: str) -> None:
    system, handlers = REPLICATED[name]
    victim = victim_of(system)
    assert after_a_crash(system, victim).violation is None
    found = after_a_crash(with_deaf(system, victim, handlers), victim).violation
    assert isinstance(found, LivenessViolation), found
    assert victim in found.nodes or found.invariant == "progress after healing"
    if found.invariant == "every replica catches up":
        assert f"{victim}: " in found.facts[1]


def library() -> Iterator[type[System]]:
    for name in sim.protocols.__all__:
        found = getattr(sim.protocols, name)
        if isinstance(found, type) and issubclass(found, System):
            yield found


@pytest.mark.parametrize("system_class", list(library()), ids=lambda found: found.__name__)
def test_every_system_says_what_progress_is(system_class: type[System]) -> None:
    """Positions, a time to converge, or members that come to rest; who says none of these says why in a docstring."""
    system = system_class()
    replicas = [m for m in system.members() if m.role == "replica"]
    scenario = Scenario(system=system, workload=NoLoad(), duration=0.1)
    simulation = scenario.start(1)
    simulation.run()
    positions = system.progress(simulation.members)
    if positions is not None:
        assert len(positions) >= len([m for m in replicas if not m.off])
        return
    overridden = system_class.progress is not System.progress
    says_why = overridden and (system_class.progress.__doc__ or "").startswith("None: ")
    rests = system_class.unsettled is not System.unsettled
    assert says_why or rests or system.converges_within is not None or len(replicas) == 1
